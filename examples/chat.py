"""A chat with rooms: whoever was cut off gets exactly what was said meanwhile, or is told to load the room anew.

    posthouse serve chat:service --dev

A client subscribes to `rooms.lobby` with `topic.subscribe`, and again with the position of the last message that it has
received when it comes back.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from posthouse.core import Context, Position, Service

Room = Annotated[str, Meta(pattern="^[a-z]{1,20}$")]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class Said(Struct):
    """A message in a room."""

    who: str
    text: str


service = Service("chat", public=True, version="1.0.0", description="Rooms in which nothing is lost silently.")
service.topic("rooms.{room}", history=50, ttl=3600.0, payload=Said)


@service.method
async def say(context: Context, room: Room, text: Text) -> Position:
    """Say something in a room. The answer comes when everybody in the room will get it."""
    return await context.publish(f"rooms.{room}", Said(context.user or "somebody", text))


@service.method
async def announce(context: Context, rooms: list[Room], text: Text) -> int:
    """Say the same in several rooms. Returns in how many."""
    for room in rooms:
        await context.publish(f"rooms.{room}", Said("the house", text))
    return len(rooms)

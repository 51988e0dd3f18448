"""An episode of sessions: one gateway, whose clients come back to their sessions, and a store that may fail it."""

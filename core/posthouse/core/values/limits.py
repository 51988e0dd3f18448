"""What each limit of Config counts, its default, and what a breach does: the text for `pydoc posthouse.core.Config`.

`make limits` draws this file from the tables in docs/limits.md, and a test compares them.
"""

from typing import Final

LIMITS: Final = """\

Sockets and connections
  max_connections = 10,000: sockets, and connections
      the socket is closed without reading; a connection gets 1013, over HTTP 503
  max_in_head = 1,000: sockets before their first complete head
      the socket is closed without reading
  max_connections_per_address ° = off: sockets of one IP address (IPv6: /64); behind a [trusted
      proxy](#proxies), requests and WebSockets
      the socket is closed without reading; behind a proxy 429 with -32029, at the head (code 4429)
  max_connections_per_user ° = off: connections of one user
      close 4429, over HTTP 429
  accept_rate_per_address ° = off: sockets a second of one IP address (IPv6: /64); behind a [trusted
      proxy](#proxies), requests and WebSockets
      the socket is closed without reading; behind a proxy 429 with -32029, at the head (code 4429)
  descriptor_reserve = 64: file descriptors kept free
      accepting stops, and resumes by itself
  memory_budget = 1 GiB: bytes held for all peers, with the headers of open WebSockets
      the history of topics is forgotten, and sessions of nobody in memory end if they take more
      than half of it; else new connections get 1013, over HTTP 503, like bodies on their way; then
      those that have sent a text and are not verified yet get 503, and then the idlest connections
      are closed with 1013

Opening
  tls_timeout = 5: seconds for the TLS handshake
      the socket is closed
  head_timeout = 5: seconds until the head is complete
      408 and close; without a single byte, close only
  max_head_bytes = 16 KiB: bytes of a request's head
      431 and close
  max_headers = 100: header lines
      431 and close
  max_target_bytes = 4 KiB: bytes of the request's target
      414 and close

Authentication
  require_authentication = false: true or false: is [authentication required](security.md#where-
      authentication-is-required)?
      if true, 401 with -32020 for calls over HTTP without credentials, at the head
  max_message_bytes_unauthenticated = 64 KiB: bytes of a message like those of max_message_bytes, of
      a caller who is not authenticated, where authentication is required
      the same as for max_message_bytes; over HTTP, the credentials of a larger body, and of a
      chunked one, are verified before it is read
  authentication_timeout = 10: seconds for all authenticators of a request or handshake; where
      authentication is required, for a WebSocket until it logs in
      401 with -32020; close 4408
  max_external_operations = 10,000: authenticators that run and requests to a store outside, with
      those that go on although nobody waits
      the connection gets 1013, over HTTP 503 with -32009
  storage_timeout = 5: seconds for an answer of a store outside
      -32035; it is not known whether a write was done
  max_token_bytes = 8 KiB: bytes of a bearer token
      401 with -32020, and no authenticator is asked
  max_password_bytes = 1,024: bytes of a password
      401 with -32020, and no authenticator is asked
  credential_cache = 60: seconds for which verified credentials are not verified again; 0 for never
      they are verified again
  max_cached_credentials = 10,000: verified credentials that are remembered, as hashes
      the oldest one is forgotten
  session_idle = 1,209,600 (14 days): seconds for which a [session](sessions.md), or the cookie of a
      log-in, may be unused
      it ends: -32040 and close 4410; for a cookie 401 with -32020
  session_lifetime = 7,776,000 (90 days): seconds of a session, or of a log-in by cookie, in all
      it ends
  max_session_bytes = 64 KiB: bytes of the data of a session, as JSON
      -32602
  max_sessions = 100,000: sessions, and log-ins by cookie
      the least recently used session of nobody ends; if there is none, the next one gets -32009
  max_sessions_per_user = 100: sessions of one user, and log-ins by cookie
      the least recently used one ends
  max_anonymous_sessions_per_address ° = 60: calls of session.create a minute by anonymous callers
      at one address (IPv6: /64); may be off
      -32029 until 1 s, then 2 s, 4 s, … 60 s have passed since the last one
  auth_notice = 60: seconds before an identity expires, on WebSocket and stdio; 0 for no notice
      the notification auth.expiring
  auth_grace = 10: seconds for which a connection may still log in or refresh after its identity has
      expired
      close 4401
  max_revocations = 10,000: users that are revoked with not_before; users that are revoked without
      it while authenticators run
      the oldest one is forgotten, with the event limit.breached; all authenticators that run are
      refused
  hashing_workers = 4: threads that hash passwords
      further log-ins wait for a thread
  max_hashing_queue = 32: log-ins that wait for such a thread
      the connection gets 1013, over HTTP 503 with -32009
  argon2_memory = 64 MiB: bytes for one hash; of each thread, they are taken off memory_budget if an
      authenticator hashes
      a password file with a hash that needs more is refused at the start
  argon2_passes = 3: passes over this memory
      hashes with other parameters are accepted, and named in the log
  argon2_lanes = 4: lanes, which are threads of one hash
      the same
  max_auth_failures ° = 5: failed authentications a minute of one user from one address; may be off
      -32023, over HTTP 429, until 1 s, then 2 s, 4 s, … 60 s have passed since the last failure; a
      connection that does not wait: close 4401
  max_auth_failures_per_address ° = 50: failed authentications a minute from one address (IPv6:
      /64); may be off
      the same as for max_auth_failures
  max_auth_failures_per_user ° = 20: failed authentications a minute of one user from all addresses;
      may be off
      verifications of this user wait for each other: one begins a second
  max_hashes_per_address = 2: authenticators that hash ([security.md](security.md#guessing)) and run
      for one address
      further ones wait, in order; after authentication_timeout a log-in gets -32009, a connection
      1013, over HTTP 503
  max_hashes_per_user = 1: authenticators that hash and run for one user
      further ones wait, in order; after authentication_timeout a log-in gets -32009, a connection
      1013, over HTTP 503
  max_remembered_callers = 10,000: users, and addresses, and pairs of both whose authentications are
      remembered
      of each, the oldest one is forgotten
  max_users = 1,000,000: users in the store
      the next one gets -32009
  max_tokens_per_user = 100: tokens of one user that have not expired
      the next one gets -32009
  max_registrations_per_address ° = 10: calls of user.register a minute from one address (IPv6:
      /64); may be off
      -32029 until 1 s, then 2 s, 4 s, … 60 s have passed since the last one
  max_name_bytes = 128: bytes of the name of a user, of a scope, and of the label of a token, in
      user.* and token.*
      -32602
  max_profile_bytes = 16 KiB: bytes of the profile of a user, and of its scopes
      -32602

HTTP bodies
  max_body_bytes = 4 MiB: bytes
      413 with -32007, and close
  body_timeout = 30: seconds until the body is complete
      408 and close
  min_body_rate = 1 KiB: bytes a second, after the first two seconds
      408 and close
  allow_chunked = true: true or false
      if false, a chunked body is refused with 411. If true, a body with more than 4,096 chunks is
      refused with 400, and so is one with more than 4 KiB, and more than twice its own bytes,
      around its chunks
  keep_alive_timeout = 75: seconds between two requests
      the socket is closed
  half_close_timeout = 5: seconds for which a client that ended its input (half-closed) is still
      answered
      its call is cancelled, no further call begins, and the socket is closed; an answer that has
      begun is sent to its end

Messages
  idle_timeout = off: seconds without a message, on WebSocket and stdio
      close 1000
  max_message_bytes = 4 MiB: bytes of a WebSocket message after inflation, of a line, of a framed
      message
      close 1009; on stdio -32007 with id: null, and the message is skipped
  max_inflate_ratio = 100: inflated bytes for each received byte, above 64 KiB
      close 1009
  min_compress_bytes = 1 KiB: bytes from which a message is compressed
      smaller messages are sent as they are
  max_fragments = 1,024: frames of one message
      close 1008
  message_timeout = 10: seconds from a message's first frame to its last
      close 1008
  control_rate = 10: control frames a second, in the long run
      further frames use up the burst
  control_burst = 32: control frames at once
      of as many more, only the latest ping is answered, as soon as the rate allows it; one more:
      close 1008
  read_bytes = 64 KiB: bytes read at a time
      the rest is read in the next turn
  frames_per_turn = 64: frames handled before other sockets have their turn
      the rest waits for the next turn

JSON-RPC
  max_depth = 64: nested arrays and objects; at most 200
      -32700 with id: null
  max_method_bytes = 128: bytes
      -32600
  max_id_bytes = 128: bytes as written, with quotes; also for each member of meta except request_id,
      which has at most 128 characters
      -32600
  max_batch = 100: entries
      -32010 once, with id: null, and nothing runs
  max_batch_reply_bytes = 10 MiB: bytes of the replies to one batch
      -32011 in place of each reply that does not fit
  max_response_bytes = 10 MiB: bytes of one reply
      -32008 in its place
  max_bad_messages ° = 10: invalid messages a minute of one connection; may be off
      close 4400

Calls
  max_calls_per_connection = 64: running handlers of one connection
      further calls wait, in order
  max_waiting_calls = 256: waiting calls of one connection
      -32009
  max_waiting_bytes = 1 MiB: bytes of the params of waiting calls
      -32009
  max_calls = 10,000: running handlers of all connections
      -32009
  call_timeout = 30: seconds, with waiting, for methods without a timeout of their own
      -32030, and the handler is cancelled
  cleanup_grace = 5: seconds in which the clean-up of a cancelled handler (finally) may await
      the handler is named in the log; it keeps its slot until it ends, and the server ends without
      it
  call_rate ° = off: calls a second of one user; without a user, of one connection, over HTTP of one
      address (IPv6: /64)
      -32029; after ten seconds, close 4429
  idempotency_ttl = 600: seconds for which the outcome of a call with an [idempotency
      key](protocol.md#what-accompanies-a-request) is kept
      the key counts as new
  max_idempotency_results = 10,000: outcomes that are kept for keys
      the oldest one is dropped
  max_idempotency_bytes = 16 MiB: bytes of these outcomes
      the oldest ones are dropped
  max_idempotency_per_identity = 100: outcomes, and keys of publications, that are kept for one
      user, or one session of nobody
      the oldest one is dropped
  blocking_workers = 40: threads for blocking handlers
      further handlers wait for a thread
  max_blocking_queue = 256: handlers that wait for a thread
      -32009
  watchdog_warn = 0.1: seconds for which a plain handler may hold up the loop
      the method is named in the log
  watchdog_log = 5: seconds for which a plain handler may hold up the loop
      its stack is logged
  log_lines = 10: lines of one event about one method or hook, in each log_interval, for [these
      events](log.md#lines-that-repeat)
      further lines are left out, and their number is logged
  log_interval = 10: seconds in which the lines of one event and method are counted
      counting begins anew

Topics
  max_topics = 100,000: topics
      one without publications or the one that was unused for longest is forgotten; if all have
      subscribers, -32009 for clients
  max_topic_bytes = 255: bytes of the name of a topic
      -32602
  max_subscriptions ° = 128: subscriptions of one connection
      -32006
  max_subscriptions_per_user ° = 1,024: subscriptions of one user
      -32006
  history_size = 100: publications that are kept of a topic with history=True
      the oldest one is forgotten
  history_ttl = 300: seconds for which they are kept, and for which an unused topic is, if its
      declaration has no ttl
      they are forgotten
  max_history_bytes = 64 MiB: bytes of all publications that are kept, and 120 for each
      the oldest ones are forgotten, of the topics that were published to least recently
  max_recovery = 300: publications in one recovery, or one page of a history
      recovered: false; the rest is in the next page
  max_publication_keys = 10,000: keys of publications that are remembered, each for idempotency_ttl
      the oldest one is forgotten: it counts as new

Flow
  write_ahead = 64 KiB: bytes given to a socket before it takes them
      the rest is held back, and reading from the peer stops
  max_queued_replies_bytes = 16 MiB: bytes of replies that wait for one peer
      close 4100
  max_queued_pushes_bytes = 1 MiB: bytes of notifications that wait for one peer, or for the replies
      of its calls
      close 4100
  max_queued_pushes = 1,024: notifications that wait for one peer, or for the replies of its calls
      close 4100
  max_push_age ° = 10: seconds for which the oldest of them may wait; may be off
      close 4100
  write_timeout = 10: seconds without progress while bytes wait
      close 4100; what waits is dropped
  close_timeout = 5: seconds for the peer to answer a close
      the socket is closed

Life and end
  heartbeat_interval = 25: seconds of silence, ± 20 %, before a WebSocket is pinged; may be off
      a ping is sent
  heartbeat_timeout = 10: seconds for a sign of life after the ping, while the peer is read from
      close 4101
  drain_notice = 0: seconds between the notice of a shut-down and the end of accepting
      listeners close
  drain_grace = 10: seconds for running calls to end
      they are answered with -32050 and cancelled
  drain_timeout = 30: seconds for the whole shut-down
      open connections are closed with 1012, and nothing more is sent
  drain_spread = 5: seconds over which closes are spread
      close 1012, each connection at its own time
  stdio_grace = 5: seconds for running calls after the end of input
      the process exits

Proxies
  trust_proxies = none: addresses and networks (CIDR), or unix for the peers of unix sockets
      what all others say about their clients is ignored
  proxy_headers = x-forwarded: x-forwarded or forwarded: the headers that trusted proxies set
      the other family is ignored; a malformed header is refused with 400
  trust_forwarded_host = false: true or false: their X-Forwarded-Host, or host=, is the host that
      the client used
      a host that is not allowed is refused with 421

Metrics
  measure_calls = false: true or false: is the time of each call measured? --metrics sets it
      nothing is refused
  latency_buckets = 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0:
      seconds: the upper bounds of the buckets of times, at most 50, each above the one before
      longer times are in the last bucket, which has no bound
"""

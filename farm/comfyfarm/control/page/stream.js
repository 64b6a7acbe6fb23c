// Follows the farm's log over a websocket, and resumes by seq when the connection is lost.

const RETRY_MS = 500;
const TOO_SLOW = 1008;      // the log no longer has the events in between

/**
 * Call `onEvents` with arrays of events, in their order and without a gap, from the one after `since` on.
 *
 * `onState` gets "live", or "stale" while there is no connection.  `onReturn` is called before the next one, with the seq
 * so far and whether events were missed; it resolves with the seq to go on after, and rejects as long as the farm does
 * not answer.  Returns an object whose `socket` is the present one.
 */
export function follow(since, onEvents, onState, onReturn) {
  let seq = since;
  const stream = { socket: null };
  const connect = () => {
    const url = new URL("/api/log/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("since", seq);
    url.searchParams.set("batch", "true");
    const socket = stream.socket = new WebSocket(url);
    socket.onopen = () => onState("live");
    socket.onmessage = (message) => {
      const events = JSON.parse(message.data);
      seq = events[events.length - 1].seq;
      onEvents(events);
    };
    socket.onclose = async (closed) => {
      onState("stale");
      for (let isBack = false; !isBack;) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        isBack = await onReturn(seq, closed.code === TOO_SLOW).then((from) => { seq = from; return true; }, () => false);
      }
      connect();
    };
  };
  connect();
  return stream;
}

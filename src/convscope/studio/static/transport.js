/**
 * The way to the server. An offline page has another module in this place (`offline.js`), with the same two exports.
 */

/** Names this tab: the newest question of a tab and a kind is answered, older ones are stopped. */
export const TAB = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;

/**
 * Send a request.
 *
 * @param {{method?: string, headers?: Object<string, string>, body?: any, signal?: AbortSignal|null, part?: string}} [options]
 *   `part` names a part of the page that asks by itself, as the second of two networks
 */
export function send(path, { headers = {}, part = "", ...init } = {}) {
  const tab = part ? `${TAB}.${part}` : TAB;
  return fetch(path, { ...init, headers: { ...headers, "x-convscope-tab": tab }, credentials: "same-origin" });
}

/**
 * Listen to a stream of events.
 *
 * @param {{names: string[], event: (name: string, data: any, id: string) => void}} handlers
 */
export function listen(path, { names, event }) {
  const source = new EventSource(path);
  const receive = (message) => {
    let data;
    try {
      data = JSON.parse(message.data);
    } catch {
      return; // a line that is no JSON says nothing
    }
    event(message.type, data, message.lastEventId);
  };
  for (const name of names) source.addEventListener(name, receive);
  return source;
}

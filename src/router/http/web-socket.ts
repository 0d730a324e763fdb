/** Sending on a client's WebSocket no faster than it is read. */

/** Bytes that the runtime may hold for one client before the next message waits. */
const bufferedMax = 1024 * 1024;
const lookEveryMs = 25;

/** False: the client is gone. */
export async function sendPaced(socket: WebSocket, text: string): Promise<boolean> {
  // A runtime that does not say what it holds is not waited for.
  while ((socket.bufferedAmount ?? 0) > bufferedMax && socket.readyState === WebSocket.OPEN)
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  try {
    socket.send(text);
    return true;
  } catch {
    return false;
  }
}

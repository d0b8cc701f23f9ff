import { connect, type Socket } from "node:net";

/** Keep-alive connections that send one request at a time each. */
export interface Load {
  /** Sends requests to a path for a time. Returns the response time of each, in milliseconds. */
  slot(path: string, milliseconds: number): Promise<readonly number[]>;
  close(): void;
}

/** Opens connections to a local server. Each request has a credential from `credential`. */
export async function openLoad(port: number, connections: number, credential: () => string): Promise<Load> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  return {
    async slot(path, milliseconds) {
      let now = performance.now();
      const end = now + milliseconds;
      const times: number[] = [];
      const client = async (socket: Socket) => {
        while (now < end) {
          const start = performance.now();
          await exchange(
            socket,
            `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: bench\r\nAuthorization: Bearer ${credential()}\r\n\r\n`,
          );
          now = performance.now();
          times.push(now - start);
        }
      };
      await Promise.all(sockets.map(client));
      return times;
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.setEncoding("latin1");
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}

function exchange(socket: Socket, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let response = "";
    const read = (part: string) => {
      response += part;
      if (!isComplete(response)) return;
      socket.off("data", read);
      if (response.startsWith("HTTP/1.1 200")) resolve();
      else reject(new Error(`The server responded with ${response.slice(0, 200)}`));
    };
    socket.on("data", read);
    socket.write(request);
  });
}

function isComplete(response: string): boolean {
  const head = response.indexOf("\r\n\r\n");
  if (head < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(response.slice(0, head));
  return length === null
    ? response.endsWith("\r\n0\r\n\r\n")
    : response.length >= head + 4 + Number(length[1]);
}

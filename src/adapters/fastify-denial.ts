import type { HttpDenial } from "../kit.js";

/**
 * The error of {@link FastifyAuth.check}. Fastify sends its status, code and message; to send what other guards send, reply with
 * `denial` in an error handler.
 */
export class DeniedError extends Error {
  override readonly name: string = "DeniedError";
  readonly statusCode: number;
  /** The code of the denial; `undefined` if `errorBody` leaves it out. */
  readonly code: string | undefined;
  /** The headers of the denial, without those that describe its body. */
  readonly headers: Readonly<Record<string, string>>;
  /** The response that other guards send. */
  readonly denial: HttpDenial;

  constructor(denial: HttpDenial) {
    const { message = "The request was denied.", code } = JSON.parse(denial.body);
    super(message);
    this.statusCode = denial.status;
    this.code = code;
    const { "content-length": _length, "content-type": _type, ...headers } = denial.headers;
    this.headers = headers;
    this.denial = denial;
  }
}

import type { ServerResponse } from "node:http";
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from "@nestjs/common";
import type { FastifyReply } from "fastify";
import type { HttpDenial } from "../kit.js";
import { sendDenial } from "./node-request.js";

/** Thrown by the guard for a denied request. The module sends its `denial`, unless a filter of yours handles it. */
export class DeniedException extends HttpException {
  readonly denial: HttpDenial;

  constructor(denial: HttpDenial) {
    super(JSON.parse(denial.body), denial.status);
    this.denial = denial;
  }
}

/** Sends the response to a {@link DeniedException}; part of the module of {@link nestAuth}. */
export class DeniedExceptionFilter implements ExceptionFilter<DeniedException> {
  catch({ denial }: DeniedException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<FastifyReply | ServerResponse>();
    if ("raw" in response) {
      response.code(denial.status).headers(denial.headers).send(Buffer.from(denial.body));
    } else {
      response.removeHeader("X-Powered-By"); // a denial is the same in every framework
      sendDenial(response, denial);
    }
  }
}
Catch(DeniedException)(DeniedExceptionFilter);

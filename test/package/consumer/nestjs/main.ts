import assert from "node:assert/strict";
import { Controller, Get, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import type { Principal } from "keybearer";
import { nestAuth } from "keybearer/nestjs";
import { createSecret, verifier } from "../keys.js";

const { RequireScopes, Public, Auth, module: authModule } = nestAuth(verifier);

@Controller()
class VehiclesController {
  @Get("vehicles")
  @RequireScopes("vehicles:read")
  list(@Auth() auth: Principal) {
    return { owner: auth.ownerId };
  }

  @Get("me")
  me(@Auth() auth: Principal) {
    return { id: auth.key?.id };
  }

  @Get("health")
  @Public()
  health() {
    return { ok: true };
  }
}

@Module({ imports: [authModule], controllers: [VehiclesController] })
class AppModule {}

// @ts-expect-error unknown scope
export const misspelled = () => RequireScopes("vehicles:raed");

async function main(): Promise<void> {
  const secret = await createSecret();
  for (const adapter of [new ExpressAdapter(), new FastifyAdapter()]) {
    const app = await NestFactory.create(AppModule, adapter, { logger: ["error"] });
    await app.listen(0, "127.0.0.1");
    const url = (await app.getUrl()).replace("localhost", "127.0.0.1");
    const get = async (path: string, key?: string) => {
      const response = await fetch(
        url + path,
        key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } },
      );
      const { status, headers } = response;
      return [status, headers.get("www-authenticate"), await response.text()] as const;
    };
    assert.deepEqual(await get("/vehicles", secret), [200, null, '{"owner":"acme"}']);
    assert.deepEqual(await get("/health"), [200, null, '{"ok":true}']);
    for (const path of ["/vehicles", "/me"]) {
      const [status, challenge, body] = await get(path);
      assert.deepEqual([status, challenge], [401, 'Bearer realm="api"']);
      assert.equal(JSON.parse(body).code, "missing_credential");
    }
    await app.close();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});

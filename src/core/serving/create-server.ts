import type { RewardServer, ServerOptions } from './server.js';

/**
 * A reward server over these models, for a program that mounts it (`server.handle`) or lets it listen. What `hpsv3 serve` runs;
 * fastify is loaded when it is first called.
 * @throws HpsError as `HPSv3Scorer.load`; SELF_CHECK_FAILED for a model whose scores depend on their neighbours
 *
 * @example
 * const server = await createServer({ models: [{ name: 'hpsv3', file: 'model.onnx' }] });
 * const { port } = await server.listen({ port: 8080 });
 * await server.close();
 */
export async function createServer(options: ServerOptions): Promise<RewardServer> {
  const { startServer } = await import('./server.js');
  return startServer(options);
}

/** Entries of a token file that `hpsv3 serve token new` wrote. @throws HpsError CONFIG_INVALID, FILE_NOT_FOUND */
export async function readTokenFile(path: string): Promise<NonNullable<ServerOptions['tokens']>> {
  const { readTokens } = await import('./tokens.js');
  return readTokens(path);
}

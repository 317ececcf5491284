import { Flags } from '@oclif/core';
import { HpsCommand } from '../core/cli/base-command.js';
import { configFlag } from '../core/cli/flags.js';
import { formatServing } from '../core/cli/render-serve.js';
import { batchSizeFlag, readContract, remoteFlags, remoteOf, scoringFlags } from '../core/cli/scoring-flags.js';
import { namedModels } from '../core/cli/serve-flags.js';
import type { ServeReport } from '../core/lifecycle/serve/serve.js';

const NOTHING_LOST = () => 'Every request that was taken is answered first; a second signal ends it at once.';

export default class Serve extends HpsCommand<ServeReport> {
  static override summary = 'Score over HTTP, with the answers of `batch` whoever else is asking.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx --port 8080',
    `curl -d '{"type":"text","text":"A vibrant sunrise."}' http://127.0.0.1:8080/score`,
  ];
  static override flags = {
    model: Flags.string({
      required: true,
      multiple: true,
      multipleNonGreedy: true,
      helpValue: '[NAME=]FILE.onnx',
      description: 'A model, and the name it is served under; can be given several times. The first is the default',
    }),
    host: Flags.string({ default: '127.0.0.1', description: 'Address to listen on' }),
    port: Flags.integer({ default: 8080, min: 0, max: 65_535, description: 'Port to listen on; 0 takes a free one' }),
    'media-root': Flags.string({
      helpValue: 'FOLDER',
      description: 'Lets rows name files in this folder; without it none is read',
    }),
    ...remoteFlags,
    ...scoringFlags,
    'batch-size': batchSizeFlag,
    workers: Flags.integer({
      default: 1,
      min: 1,
      max: 64,
      description: 'Processes that run a model side by side, each with its own copy',
    }),
    'queue-rows': Flags.integer({
      min: 1,
      description: 'Rows taken on and not yet answered; more get 503. Default 256',
    }),
    'drain-delay': Flags.integer({
      default: 0,
      min: 0,
      max: 3600,
      description: 'Seconds between SIGTERM and the last request that is taken: for balancers to look elsewhere',
    }),
    'log-level': Flags.option({ options: ['error', 'warn', 'info', 'debug'] as const, default: 'info' as const })(),
    config: configFlag,
  };

  async run(): Promise<ServeReport> {
    const { flags } = await this.parse(Serve);
    const { host, port, calibrator, device, threads, optimization, workers } = flags;
    const contract = await readContract(flags.contract);
    const { serve } = await import('../core/lifecycle/serve/serve.js'); // brings fastify: only where it serves
    return this.follow(
      (run) =>
        serve({
          models: namedModels(flags.model, calibrator),
          host,
          port,
          mediaRoot: flags['media-root'] ?? null,
          remote: remoteOf(flags),
          contract,
          device,
          threads,
          optimization,
          batchSize: flags['batch-size'],
          workers,
          limits: flags['queue-rows'] === undefined ? {} : { queueRows: flags['queue-rows'] },
          drainDelay: flags['drain-delay'],
          logLevel: flags['log-level'],
          onListening: (address) => this.log(formatServing(address)),
          ...run,
        }),
      NOTHING_LOST,
      { finishes: true },
    );
  }
}

import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { configFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { listenToHangup } from '../../core/cli/interruption.js';
import { listenFlags, portFlag, tlsOf } from '../../core/cli/listen-flags.js';
import { formatServing } from '../../core/cli/render-serve.js';
import {
  abstainFlag,
  batchSizeFlag,
  markFlag,
  readContract,
  remoteFlags,
  remoteOf,
  scoringFlags,
  windowFlags,
  windowsOf,
} from '../../core/cli/scoring-flags.js';
import { namedModels, shareOf } from '../../core/cli/serve-flags.js';
import type { ServeReport } from '../../core/lifecycle/serve/serve.js';

const NOTHING_LOST = () => 'Every request that was taken is answered first; a second signal ends it at once.';

export default class Serve extends HpsCommand<ServeReport> {
  static override summary = 'Score over HTTP, with the answers of `batch` whoever else is asking.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx --port 8080',
    `curl -d '{"type":"text","text":"A vibrant sunrise."}' http://127.0.0.1:8080/score`,
  ];
  static override flags = {
    model: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: '[NAME=]FILE.onnx',
      description: 'A model, and the name it is served under; can be given several times. The first is the default',
    }),
    models: Flags.string({
      helpValue: 'FOLDER',
      description:
        'Where POST /admin/models/reload finds files; without --model, every .onnx of it is served by its name',
    }),
    card: Flags.string({
      helpValue: 'FOLDER',
      description: 'Serve the model only if it is the very file that this card describes',
    }),
    recorded: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      description:
        'Scores recorded of a model (`hpsv3 export --record`, `verify --record`): serve only where it gives them here, too',
    }),
    ...listenFlags,
    port: portFlag(8080),
    'media-root': Flags.string({
      helpValue: 'FOLDER',
      description: 'Lets rows name files in this folder; without it none is read',
    }),
    ...remoteFlags,
    ...scoringFlags,
    abstain: abstainFlag,
    mark: markFlag,
    ...windowFlags,
    'batch-size': batchSizeFlag,
    workers: Flags.integer({
      default: 1,
      min: 1,
      max: 64,
      description: 'Processes that run a model side by side, each with its own copy',
    }),
    dialect: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      options: ['pickle'],
      description: 'Speak this one too: pickle, as flow_grpo and verl-omni send it, read as data and never executed',
    }),
    shadow: Flags.string({
      helpValue: 'FILE.onnx',
      description:
        'Let this model score a share of the rows after they are answered, and count what it decides otherwise',
    }),
    'shadow-share': Flags.string({ default: '0.1', helpValue: 'SHARE', description: 'Of the rows, for --shadow' }),
    'log-scores': Flags.string({
      helpValue: 'FOLDER',
      description: 'Write a line for each row that was answered, without its content: what `hpsv3 drift` reads',
    }),
    drift: Flags.string({
      helpValue: 'FOLDER',
      description: 'What `hpsv3 drift check` writes to: its last verdict, effects and evidence are among the metrics',
    }),
    tokens: Flags.string({
      helpValue: 'FILE',
      description:
        'Who may ask (`hpsv3 serve token new`); read again on SIGHUP. Needed on an address that others can reach',
    }),
    'rows-per-minute': Flags.integer({
      aliases: ['rate-limit'],
      min: 1,
      helpValue: 'ROWS',
      description: 'Rows a minute for each token, or each address where there are none; more get 429',
    }),
    deadline: Flags.integer({
      default: 60,
      min: 1,
      max: 86_400,
      helpValue: 'SECONDS',
      description: 'Time for the answer to a request; a client may ask for less with X-Request-Timeout-Ms',
    }),
    'max-body': Flags.integer({
      default: 32,
      min: 1,
      max: 1024,
      helpValue: 'MIB',
      description: 'Largest body of a request, also once inflated; a stream of rows has no bound',
    }),
    'max-connections': Flags.integer({
      default: 1024,
      min: 1,
      max: 1_000_000,
      description: 'Connections open at a time',
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

  protected override readonly report = 'serve';

  async run(): Promise<ServeReport> {
    const { flags } = await this.parse(Serve);
    const { host, port, calibrator, device, threads, optimization, workers } = flags;
    const contract = await readContract(flags.contract);
    if (flags.window !== undefined) keepHeapSmall();
    const { serve } = await import('../../core/lifecycle/serve/serve.js'); // brings fastify: only where it serves
    return this.follow(
      (run) =>
        serve({
          models: namedModels(flags.model ?? [], calibrator),
          modelFolder: flags.models,
          card: flags.card,
          recorded: flags.recorded,
          dialects: flags.dialect,
          shadow:
            flags.shadow === undefined ? undefined : { file: flags.shadow, share: shareOf(flags['shadow-share']) },
          logScores: flags['log-scores'],
          drift: flags.drift,
          tokens: flags.tokens,
          tls: tlsOf(flags),
          rowsPerMinute: flags['rows-per-minute'],
          onHangup: listenToHangup,
          host,
          port,
          mediaRoot: flags['media-root'] ?? null,
          remote: remoteOf(flags),
          contract,
          abstain: flags.abstain,
          marks: flags.mark,
          windows: windowsOf(flags),
          device,
          threads,
          optimization,
          batchSize: flags['batch-size'],
          workers,
          limits: {
            queueRows: flags['queue-rows'],
            deadlineMs: 1000 * flags.deadline,
            bodyBytes: 2 ** 20 * flags['max-body'],
            connections: flags['max-connections'],
          },
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

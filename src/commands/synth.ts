import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { configFlag, forceFlag, outFlag, seedFlag } from '../core/cli/flags.js';
import { formatSynth } from '../core/cli/render-synth.js';
import { HpsError } from '../core/errors.js';
import { LIMITS } from '../core/limits.js';
import { SYNTH_MODALITIES, type SynthModalityId } from '../core/synthesis/modality.js';
import { SYNTH_DEFAULTS, type SynthReport, synthesize } from '../core/synthesis/synthesize.js';

export default class Synth extends HpsCommand<SynthReport> {
  static override summary =
    'Make comparisons whose truth is known: sources damaged step by step, judged by simulated raters.';
  static override description = [
    'Writes labels.jsonl (pairs and votes), truth.jsonl (true utility differences, in the form of scores), synth.json (what',
    'was done, and how often raters agree with the truth) and the media. All pairs of a source share its prompt_id; groups',
    'name the perturbation, its strength from 1 to 5, the gap between both sides, and the modality.',
  ].join(' ');
  static override examples = [
    '<%= config.bin %> <%= command.id %> --out synth --pairs 500 --seed 1',
    '<%= config.bin %> <%= command.id %> --out synth --source photos --modality image --raters 7 --absolute',
  ];
  static override flags = {
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder to write' }),
    source: Flags.string({
      helpValue: 'FOLDER',
      description: 'Your own pictures (.jpg .png .webp .bmp), texts (.txt), sounds (.wav) and clips (.mp4 .webm)',
    }),
    modality: Flags.string({
      helpValue: 'LIST',
      description: `Some of ${SYNTH_MODALITIES.join(', ')} (image,text,audio, or what --source has of them); video needs ffmpeg`,
    }),
    perturbation: Flags.string({
      helpValue: 'LIST',
      description: 'Only this damage, such as blur,noise; blurred-square and pasted-square are made only when named',
    }),
    pairs: Flags.integer({
      min: 1,
      max: 10_000_000,
      default: SYNTH_DEFAULTS.pairs,
      description: 'Pairs to make in each modality',
    }),
    'pairs-per-source': Flags.integer({
      min: 1,
      max: 20,
      default: SYNTH_DEFAULTS.pairsPerSource,
      description: 'Pairs that share a source',
    }),
    raters: Flags.integer({
      min: 1,
      max: LIMITS.votes,
      default: SYNTH_DEFAULTS.raters,
      description: 'Simulated raters; each judges every pair',
    }),
    absolute: Flags.boolean({ description: 'Also write absolute.jsonl: scores from -1 to 1, quality and fluency' }),
    'image-size': Flags.integer({
      min: 32,
      max: 2048,
      default: SYNTH_DEFAULTS.sizes.image,
      description: 'Longer side of pictures, in pixels',
    }),
    'video-size': Flags.integer({
      min: 32,
      max: 1024,
      default: SYNTH_DEFAULTS.sizes.video,
      description: 'Longer side of clips, in pixels; even',
    }),
    seed: seedFlag,
    config: configFlag,
    force: forceFlag,
  };

  protected override readonly report = 'synth';

  async run(): Promise<SynthReport> {
    const { flags } = await this.parse(Synth);
    const report = await this.follow((run) =>
      synthesize({
        out: flags.out,
        force: flags.force,
        source: flags.source,
        modalities: flags.modality === undefined ? undefined : parseModalities(flags.modality),
        perturbations: flags.perturbation?.split(',').map((id) => id.trim()),
        pairs: flags.pairs,
        pairsPerSource: flags['pairs-per-source'],
        raters: flags.raters,
        absolute: flags.absolute,
        seed: flags.seed,
        sizes: { image: flags['image-size'], video: 2 * Math.floor(flags['video-size'] / 2) },
        ...run,
      }),
    );
    for (const { modality, skipped } of report.modalities) {
      const [first] = skipped.files;
      if (first)
        this.warn(`No ${modality} source: ${first.rule}${skipped.count > 1 ? ` (and ${skipped.count - 1} more)` : ''}`);
    }
    this.log(formatSynth(report));
    return report;
  }
}

function parseModalities(list: string): SynthModalityId[] {
  const ids = list.split(',').map((id) => id.trim());
  const unknown = ids.find((id) => !SYNTH_MODALITIES.includes(id as SynthModalityId));
  if (unknown === undefined) return ids as SynthModalityId[];
  throw new HpsError('USAGE', `--modality: ${JSON.stringify(unknown)} is not one of ${SYNTH_MODALITIES.join(', ')}`, {
    hint: 'Write them with commas between: image,text,audio.',
  });
}

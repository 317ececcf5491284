import { sha256Hex } from '../bytes/hash.js';
import type { CardFacts, EvaluationFacts } from './card-facts.js';
import { dataName, worstGroups } from './words.js';

/** SPDX identifiers as they are written, by the lower case the Hub uses; another licence is given by its name. */
const SPDX: Readonly<Record<string, string>> = Object.fromEntries(
  [
    'AFL-3.0',
    'AGPL-3.0-only',
    'Apache-2.0',
    'Artistic-2.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'BSL-1.0',
    'CC-BY-2.0',
    'CC-BY-3.0',
    'CC-BY-4.0',
    'CC-BY-NC-4.0',
    'CC-BY-NC-ND-4.0',
    'CC-BY-NC-SA-4.0',
    'CC-BY-ND-4.0',
    'CC-BY-SA-3.0',
    'CC-BY-SA-4.0',
    'CC0-1.0',
    'CDLA-Permissive-2.0',
    'ECL-2.0',
    'EPL-2.0',
    'EUPL-1.2',
    'GPL-2.0-only',
    'GPL-3.0-only',
    'GPL-3.0-or-later',
    'ISC',
    'LGPL-3.0-only',
    'MIT',
    'MPL-2.0',
    'MS-PL',
    'NCSA',
    'ODbL-1.0',
    'OFL-1.1',
    'OSL-3.0',
    'PDDL-1.0',
    'PostgreSQL',
    'Unlicense',
    'Zlib',
  ].map((id) => [id.toLowerCase(), id]),
);

/** A licence as CycloneDX has it: by its SPDX identifier where it has one, else by its name. */
export const licenseOf = (license: string) => {
  const id = SPDX[license.toLowerCase()];
  return { license: id === undefined ? { name: license } : { id } };
};

/** Numbers as the standard wants them: text. */
const number = (value: number): string => String(value);

interface Estimate {
  readonly value: number | null;
  readonly ci: readonly [number, number] | null;
}

function metric(type: string, { value, ci }: Estimate, slice?: string) {
  if (value === null) return [];
  const interval = ci ? { confidenceInterval: { lowerBound: number(ci[0]), upperBound: number(ci[1]) } } : {};
  return [{ type, value: number(value), ...(slice === undefined ? {} : { slice }), ...interval }];
}

function performanceMetrics(facts: CardFacts, one: EvaluationFacts) {
  const data = dataName(facts, one);
  const all = Object.entries(one.report.overall).flatMap(([id, estimate]) => metric(id, estimate, `dataset=${data}`));
  const groups = one.report.groups.flatMap(({ by, value, metrics }) =>
    Object.entries(metrics ?? {}).flatMap(([id, estimate]) => metric(id, estimate, `dataset=${data}; ${by}=${value}`)),
  );
  return [...all, ...groups];
}

function datasets(facts: CardFacts) {
  return facts.datasets.map(({ name, url, hub_id: hub, description, raters, roles, license }) => {
    const address = url ?? (hub === undefined ? undefined : `https://huggingface.co/datasets/${hub}`);
    const said = [
      description,
      raters === undefined ? undefined : `Raters: ${raters}`,
      `Used for: ${roles.join(', ')}.`,
      `Licence: ${license ?? 'not stated'}.`,
    ];
    return {
      type: 'dataset',
      name,
      ...(address === undefined ? {} : { contents: { url: address } }),
      description: said.filter((part) => part !== undefined).join(' '),
    };
  });
}

function considerations({ text, gaps, evaluations, quantization }: CardFacts) {
  const { intended_use: use, ethical_considerations: ethics } = text;
  const tradeoffs = quantization
    ? [
        `Quantized by ${quantization.report.scheme}: ${quantization.report.flips ?? 'unknown'} winners changed, ${quantization.report.ratio.toFixed(2)} times smaller.`,
      ]
    : [];
  const fairness = evaluations.flatMap(({ report }) =>
    worstGroups(report).map(({ by, value, sentence }) => ({ groupAtRisk: `${by}: ${value}`, harms: sentence })),
  );
  return {
    users: use?.users ?? [],
    useCases: use?.uses ?? [],
    technicalLimitations: [
      ...(use?.out_of_scope ?? []).map((one) => `Out of scope: ${one}`),
      ...(text.caveats ?? []),
      ...gaps.map((one) => `Not stated: ${one.text}.`),
    ],
    performanceTradeoffs: tradeoffs,
    ethicalConsiderations: (ethics?.risks ?? []).map(({ risk, mitigation }) => ({
      name: risk,
      ...(mitigation === undefined ? {} : { mitigationStrategy: mitigation }),
    })),
    fairnessAssessments: fairness,
  };
}

function modelCard(facts: CardFacts, pictures: ReadonlyMap<string, string>) {
  const { model } = facts;
  return {
    'bom-ref': 'model-card',
    modelParameters: {
      task: facts.evaluations.some(({ report }) => report.kind === 'pair') ? 'preference' : 'rating',
      ...(model?.architecture ? { modelArchitecture: model.architecture } : {}),
      datasets: datasets(facts),
      inputs: (model?.inputs ?? []).map(({ name, dtype, shape, preprocess }) => ({
        format: `${name}: ${preprocess.kind}, ${dtype} [${shape.join(', ')}]`,
      })),
      outputs: (model?.outputs ?? []).map(({ name, meaning }) => ({ format: `${name}: ${meaning}` })),
    },
    quantitativeAnalysis: {
      performanceMetrics: facts.evaluations.flatMap((one) => performanceMetrics(facts, one)),
      graphics: {
        description: 'Pictures of the card',
        collection: [...pictures].map(([name, svg]) => ({
          name,
          image: { contentType: 'image/svg+xml', encoding: 'base64', content: Buffer.from(svg).toString('base64') },
        })),
      },
    },
    considerations: considerations(facts),
  };
}

/** Steps and files a model was made from. */
function pedigree({ model }: CardFacts) {
  const inputs = model?.lineage.flatMap((step) => step.inputs.map((input) => ({ ...input, step: step.step }))) ?? [];
  if (inputs.length === 0) return {};
  return {
    pedigree: {
      ancestors: inputs.map(({ name, sha256, step }, i) => ({
        type: 'data',
        'bom-ref': `ancestor-${i + 1}`,
        name,
        description: `Input of ${step}`,
        hashes: [{ alg: 'SHA-256', content: sha256 }],
      })),
    },
  };
}

/** A name for what is the same whenever the facts are: a UUID of version 8 (RFC 9562) from their hash. */
function serialNumber(facts: CardFacts): string {
  const hex = sha256Hex(Buffer.from(JSON.stringify(facts)));
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * The card as a machine-learning bill of materials: CycloneDX 1.6, JSON.
 *
 * @param pictures - SVG by name
 */
export function renderCycloneDx(facts: CardFacts, pictures: ReadonlyMap<string, string>): string {
  const { name, model, text, tool, files } = facts;
  const [toolName, version = ''] = tool.split(' ');
  const component = {
    type: 'machine-learning-model',
    'bom-ref': 'model',
    name,
    ...(text.version ? { version: text.version } : {}),
    ...(text.details?.description ? { description: text.details.description } : {}),
    ...(model ? { hashes: [{ alg: 'SHA-256', content: model.sha256 }] } : {}),
    ...(text.license ? { licenses: [licenseOf(text.license)] } : {}),
    ...(text.details?.developers ? { authors: text.details.developers.map((developer) => ({ name: developer })) } : {}),
    ...pedigree(facts),
    modelCard: modelCard(facts, pictures),
  };
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: serialNumber(facts),
    version: 1,
    metadata: { tools: { components: [{ type: 'application', name: toolName, version }] }, component },
    components: files.map(({ id, name: file, role, sha256 }) => ({
      type: role === 'model' || role === 'external-data' ? 'file' : 'data',
      'bom-ref': id,
      name: file,
      description: `Bound to the card as its ${role.replace('-', ' ')}`,
      hashes: [{ alg: 'SHA-256', content: sha256 }],
    })),
    dependencies: [{ ref: 'model', dependsOn: files.map(({ id }) => id) }],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

import type { CardFacts } from '../card/card-facts.js';

/** Licences that let anybody pass on what is under them, in the lower case of the Hub; with conditions that a release keeps. */
const FREE = new Set(
  [
    [
      'afl-3.0',
      'apache-2.0',
      'artistic-2.0',
      'bsd',
      'bsd-2-clause',
      'bsd-3-clause',
      'bsl-1.0',
      'isc',
      'mit',
      'ms-pl',
      'ncsa',
      'unlicense',
      'zlib',
      '0bsd',
    ],
    [
      'cc-by-2.0',
      'cc-by-2.5',
      'cc-by-3.0',
      'cc-by-4.0',
      'cc-by-sa-3.0',
      'cc-by-sa-4.0',
      'cc0-1.0',
      'odbl',
      'odbl-1.0',
      'odc-by',
      'pddl',
    ],
    [
      'cdla-permissive-1.0',
      'cdla-permissive-2.0',
      'cdla-sharing-1.0',
      'ecl-2.0',
      'epl-2.0',
      'eupl-1.1',
      'eupl-1.2',
      'mpl-2.0',
      'osl-3.0',
      'postgresql',
    ],
    [
      'agpl-3.0',
      'agpl-3.0-only',
      'agpl-3.0-or-later',
      'gpl-2.0',
      'gpl-2.0-only',
      'gpl-3.0',
      'gpl-3.0-only',
      'gpl-3.0-or-later',
      'lgpl-2.1',
      'lgpl-3.0',
      'lgpl-3.0-only',
      'lgpl-3.0-or-later',
      'gpl',
      'lgpl',
    ],
  ].flat(),
);

/** What stands against passing on a release: terms of the weights, of data they were made with, or of labels that lie in the card. */
export interface TermsProblem {
  /** `the weights`, the name of a data set, or of a file of labels. */
  readonly of: string;
  /** As the card states it; null where it does not. */
  readonly license: string | null;
}

/**
 * Licences that do not plainly allow a release to be passed on: none stated, one that nobody here knows, or one that forbids it or its use
 * by some (non-commercial, research only, no derivatives, responsible-AI terms). Labels that are passed on with the card are of a data
 * set that it describes, or their terms are not stated.
 */
export function termsProblems(facts: LicensedFacts): TermsProblem[] {
  const stated = [
    { of: 'the weights', license: facts.text.license ?? null },
    ...facts.datasets.map(({ name, license }) => ({ of: `the data set ${name}`, license: license ?? null })),
    ...undescribedLabels(facts).map((name) => ({ of: `the labels in ${name}`, license: null })),
  ];
  return stated.filter(({ license }) => license === null || !FREE.has(license.trim().toLowerCase()));
}

type LicensedFacts = Pick<CardFacts, 'text' | 'datasets' | 'files' | 'evaluations'>;

/** Names of the files of labels in the card's folder that are of no data set it describes. */
function undescribedLabels({ datasets, files, evaluations }: LicensedFacts): string[] {
  const described = ({ id, name }: CardFacts['files'][number]): boolean =>
    datasets.some((dataset) => dataset.files?.includes(name)) ||
    evaluations.some(({ dataset, from }) => dataset !== null && from.includes(id));
  return files
    .filter((file) => file.role === 'labels' && file.path !== null && !described(file))
    .map(({ name }) => name);
}

export const termsSentence = ({ of, license }: TermsProblem): string =>
  license === null ? `no licence is stated for ${of}` : `the licence of ${of} is ${license}`;

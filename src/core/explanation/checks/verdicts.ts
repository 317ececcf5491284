/** What checks come to. */
export const VERDICTS = ['trustworthy', 'doubtful', 'untrustworthy'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Of the registry's members, for who must know no more than their names. */
export const SCHEME_IDS = ['weight-only', 'dynamic', 'static', 'fp16', 'int4'] as const;
export type SchemeId = (typeof SCHEME_IDS)[number];

/** What a token may be good for. */
export const SCOPES = ['score', 'explain', 'metrics', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

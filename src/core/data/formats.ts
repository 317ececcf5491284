/** Formats of rows, as they are written and asked for. */
export const DATA_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

/** `json` is an array, or objects over several lines: what JSONL is also given as. */
export type RowFormat = DataFormat | 'json';

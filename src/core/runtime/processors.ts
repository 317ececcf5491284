/** Processors that integer kernels are exact on: all that there are, or those that add products of 8 bits in 32 (VNNI, and ARM). */
export const PROCESSORS = ['any', 'vnni'] as const;
export type Processor = (typeof PROCESSORS)[number];

/** `metadata_props` key of a file whose sums some processors cut off, with what it was made for. */
export const PROCESSOR_KEY = 'hpsv3.processor';

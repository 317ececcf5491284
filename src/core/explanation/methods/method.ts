import type { Run } from '../../run.js';
import type { Decision } from '../decision.js';
import type { ExplainedInputs, Part } from '../parts.js';

export const METHODS = [
  'ig',
  'gradient',
  'input-x-gradient',
  'smoothgrad',
  'gradcam',
  'rollout',
  'relevance',
  'occlusion',
  'leave-one-out',
] as const;
export type MethodId = (typeof METHODS)[number];

/** What a method gives for one part. */
export interface Attribution {
  readonly part: Part;
  /** That of the part, or of a coarser grid over it: [rows, columns] of a picture, [tokens], [windows]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** Where values are x - x0 times something, that: sounds are taken apart by frequency with it. */
  readonly slope?: Float32Array;
}

export interface Completeness {
  /** Sum of all attributions. */
  readonly sum: number;
  /** f(x) - f(baseline). */
  readonly expected: number;
  /** sum - expected. */
  readonly gap: number;
  /** Whether the gap is at most 1 % of the expected sum. */
  readonly complete: boolean;
  /** Nodes of the quadrature, where there is one. */
  readonly nodes: number | null;
}

export interface MethodResult {
  readonly attributions: readonly Attribution[];
  /** f(x) */
  readonly logit: number;
  /** f(baseline) where the method has computed it: not 0 for sides of other shapes. */
  readonly baselineLogit: number | null;
  readonly completeness: Completeness | null;
  readonly warnings: readonly string[];
}

export interface MethodSettings {
  /** Nodes that integrated gradients begin with, and the most. */
  readonly nodes: number;
  readonly mostNodes: number;
  /** Noisy copies of SmoothGrad, and the deviation of the noise as a share of the range of a part. */
  readonly copies: number;
  readonly noise: number;
  readonly seed: number;
  readonly threads?: number;
  /** Side of a patch in pixels, or null for one of about a sixteenth of the picture. */
  readonly patch: number | null;
}

export const DEFAULT_SETTINGS: MethodSettings = {
  nodes: 32,
  mostNodes: 512,
  copies: 32,
  noise: 0.1,
  seed: 0,
  patch: null,
};

/** Of a gradient method. */
export interface GradientCase {
  readonly decision: Decision;
  readonly inputs: ExplainedInputs;
  readonly settings: MethodSettings;
  readonly run: Run;
}

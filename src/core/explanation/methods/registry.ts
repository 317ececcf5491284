import { relevance, rollout } from './attention-methods.js';
import type { BlackBoxCase, PerturbationResult } from './black-box.js';
import { gradcam } from './gradcam.js';
import { gradient, inputXGradient, smoothgrad } from './gradient.js';
import { integratedGradients } from './integrated-gradients.js';
import type { GradientCase, MethodId, MethodResult } from './method.js';
import { leaveOneOut, occlusion } from './perturbation.js';

type PerturbationId = 'occlusion' | 'leave-one-out';
export type GradientId = Exclude<MethodId, PerturbationId>;

export const isGradientMethod = (method: MethodId): method is GradientId =>
  method !== 'occlusion' && method !== 'leave-one-out';

export const PERTURBATION_METHODS: Readonly<
  Record<PerturbationId, (given: BlackBoxCase) => Promise<PerturbationResult>>
> = { occlusion, 'leave-one-out': leaveOneOut };

export const GRADIENT_METHODS: Readonly<Record<GradientId, (given: GradientCase) => Promise<MethodResult>>> = {
  ig: integratedGradients,
  gradient,
  'input-x-gradient': inputXGradient,
  smoothgrad: (given) => smoothgrad(given),
  gradcam,
  rollout,
  relevance,
};

import { spawn } from 'node:child_process';
import { z } from 'zod';
import { type CliResult, collect, PROJECT } from '../helpers/cli.js';

const number = z.number();

/** What scripts/gpu-check.sh prints. */
export const gpuCheckSchema = z.strictObject({
  schema: z.literal('hpsv3/gpu-check@1'),
  hpsv3: z.string(),
  onnxruntime: z.string(),
  node: z.string(),
  os: z.string(),
  cpu: z.string(),
  gpus: z.array(z.strictObject({ name: z.string(), driver: z.string() })),
  vulkanDrivers: z.array(z.string()),
  model: z.string(),
  rows: number,
  pairs: number,
  steps: number,
  seconds: number.max(300),
  passed: z.boolean().nullable(),
  skipped: z.string().nullable(),
  checks: z.array(
    z.strictObject({
      check: z.string(),
      device: z.enum(['cpu', 'webgpu', 'cuda']).nullable(),
      state: z.enum(['passed', 'failed', 'skipped']),
      reason: z.string().optional(),
      seconds: number,
      devices: z.array(z.looseObject({ name: z.string(), state: z.string() })).optional(),
      drivers: z.array(z.string()).optional(),
      rows: number.optional(),
      steps: number.optional(),
      milliseconds: number.optional(),
      largestDifference: number.optional(),
      flips: number.optional(),
      firstLoss: number.optional(),
      lastLoss: number.optional(),
      largestLossDifference: number.optional(),
    }),
  ),
});

export const gpuCheck = (args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<CliResult> =>
  collect(spawn('/bin/bash', [`${PROJECT}scripts/gpu-check.sh`, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] }));

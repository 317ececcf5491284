/** The `training` section lies with what reads it. */
export { type TrainingConfig, trainingConfigSchema } from '../training/run/config.js';

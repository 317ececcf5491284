/** transformers' Wav2Vec2FeatureExtractor: what keeps silence finite. */
const VARIANCE_FLOOR = 1e-7;

/** (x - mean) / sqrt(variance + 1e-7), in place: zero mean and unit variance, as speech encoders take recordings. */
export function standardize(values: Float32Array): Float32Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const deviation = Math.sqrt(variance + VARIANCE_FLOOR);
  for (let i = 0; i < values.length; i++) values[i] = (values[i] - mean) / deviation;
  return values;
}

/** Value of `schema` in a profile; apart from the schema itself, since zod takes a while to load. */
export const PROFILE_SCHEMA = 'hpsv3/profile@1';
/** How settings call the model itself, beside its variants. */
export const MODEL_VARIANT = 'model';

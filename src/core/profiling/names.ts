/** How settings call the model itself, beside its variants. */
export const MODEL_VARIANT = 'model';

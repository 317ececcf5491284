import { asNumber, fail, hasAll, imageOf, type Layout, unlessEmpty } from './layout.js';

const DIMENSIONS = [
  'visual quality',
  'temporal consistency',
  'dynamic degree',
  'text-to-video alignment',
  'factual consistency',
] as const;

/** VideoScore's feedback: a clip, and a rating for each of five dimensions; each becomes a row with the dimension as its task. */
export const videoScore: Layout = {
  id: 'videoscore',
  of: 'VideoFeedback, which VideoScore is trained on',
  source: 'https://huggingface.co/datasets/TIGER-Lab/VideoFeedback',
  recognises: (fields) => DIMENSIONS.every((name) => fields.has(name)),
  isMany: true,
  *rows(record) {
    const id = record.id('id');
    const video = record.text('video', 'video_path', 'video_link') ?? fail('FIELD_MISSING', 'video is missing');
    const context = record.text('text prompt', 'text_prompt', 'prompt');
    for (const dimension of DIMENSIONS) record.drop(dimension);
    for (const dimension of DIMENSIONS) {
      const rating = record.fields.get(dimension) ?? fail('FIELD_MISSING', `${dimension} is missing`);
      yield record.row({
        id: `${id}#${dimension.replaceAll(' ', '-')}`,
        type: 'abs',
        content: new Map([['video', video]]),
        context,
        task: dimension,
        prompt_id: id,
        score: asNumber(rating, dimension),
      });
    }
  },
};

const RECORDINGS = ['wavname', 'wav', 'filepath_deg', 'filename', 'file_name', 'utterance', 'uttID'];
const OPINIONS = ['mos', 'MOS', 'mean_score', 'rating', 'score'];

/** Mean opinion scores: a recording a record. VoiceMOS, BVCC, NISQA; with a listener, a rating a record. */
export const mos: Layout = {
  id: 'mos',
  of: 'lists of mean opinion scores: VoiceMOS, BVCC, NISQA',
  source: 'https://zenodo.org/records/6572573',
  recognises: (fields) => RECORDINGS.some((name) => fields.has(name)) && OPINIONS.some((name) => fields.has(name)),
  *rows(record) {
    const audio = record.text(...RECORDINGS) ?? fail('FIELD_MISSING', 'the name of the recording is missing');
    const score = record.number(...OPINIONS) ?? fail('FIELD_MISSING', 'the opinion score is missing');
    const listener = record.text('listener', 'listenerID', 'listener_id');
    const one = listener === undefined ? { score } : { ratings: [score], raters: [listener] };
    yield record.row({
      id: listener === undefined ? audio : `${audio}#${listener}`,
      type: 'abs',
      content: new Map([['audio', audio]]),
      ...one,
      prompt_id: audio,
      groups: unlessEmpty(record.groups('system', 'system_ID', 'sysID', 'con', 'db')),
    });
  },
};

/** TIFA's human judgements: a picture and its text, with what each worker said, or their mean. */
export const tifa: Layout = {
  id: 'tifa',
  of: 'human annotations of TIFA v1.0',
  source: 'https://github.com/Yushi-Hu/tifa',
  recognises: (fields) => hasAll(fields, 'text_id', 'text') && (fields.has('human_avg') || fields.has('worker_1')),
  *rows(record) {
    const text = record.text('text_id');
    const image = record.take('image_path', 'image', 'image_id');
    const system = record.groups('text_to_image_model', 'system');
    const workers = [...record.fields.keys()].filter((name) => /^worker_\d+$/.test(name) && record.has(name));
    const ratings = workers.map((name) => asNumber(record.need(name), name));
    const mean = record.number('human_avg');
    const name = [text, ...system.values()].filter(Boolean).join('/');
    yield record.row({
      id: record.text('id') ?? (name === '' ? `row-${record.place}` : name),
      type: 'abs',
      content: imageOf(image ?? fail('FIELD_MISSING', 'image_path is missing'), 'image_path'),
      context: record.text('text'),
      ...(ratings.length > 0 ? { ratings } : { score: mean }),
      prompt_id: text,
      groups: unlessEmpty(system),
    });
  },
};

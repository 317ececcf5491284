"""Speech: wav2vec 2.0 with a classifier, in its two forms, and UTMOS22's network over the same encoder with fairseq's names."""
import re, wave
import numpy as np
import torch
from common import dump, fixture, trained


def recording(path, samples, seed):
    """A gliding tone and noise as a 16-bit WAV file at 16 kHz; what soundfile reads of it."""
    t = np.arange(samples) / 16000
    r = np.random.default_rng(seed)
    pcm = np.clip((0.4 * np.sin(2 * np.pi * 190 * t * (1 + 3 * t)) + 0.1 * r.normal(size=samples) + 0.04) * 20000, -32768, 32767).astype(np.int16)
    with wave.open(path, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000), w.writeframes(pcm.tobytes())
    return pcm.astype(np.float32) / 32768.0


def recordings(folder, samples=700):
    dump(folder + "/raw.json", [{"audio": f"raw-{i}.wav"} for i in range(2)])
    return [recording(f"{folder}/raw-{i}.wav", samples, i) for i in range(2)]


@torch.no_grad()
def lengths(model):
    """Lengths of the directions of the positional convolution: positive, and other than the directions' own."""
    for name, p in model.named_parameters():
        if name.endswith("weight.original0"): p.copy_(torch.rand_like(p) + 0.4)
    return model


def wav2vec2(folder, label=0, **options):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification
    config = Wav2Vec2Config(vocab_size=8, mask_time_prob=0.0, attn_implementation="eager", **options)
    m = lengths(trained(Wav2Vec2ForSequenceClassification(config)))
    m.save_pretrained(folder)
    keys = ["id2label", "label2id"] if config.num_labels > 1 else []
    dump(folder + "/config.json", {"model_type": "wav2vec2", **{k: v for k, v in options.items() if k != "num_labels"}, **{k: getattr(config, k) for k in keys}})
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    extractor.save_pretrained(folder)
    run = lambda x: ({"input_values": x}, {"utility_logit": m(x).logits[:, label]})
    raw = extractor(recordings(folder), sampling_rate=16000, return_tensors="pt")["input_values"]
    return {"item": run(torch.randn(3, 600)), "raw": run(raw)}


@fixture("wav2vec2")
@torch.no_grad()
def group(folder):
    return wav2vec2(folder, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=17, conv_dim=[6, 8, 7], conv_kernel=[10, 3, 2], conv_stride=[5, 3, 2],
                    num_feat_extract_layers=3, num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4, classifier_proj_size=5, num_labels=1)


@fixture("wav2vec2-stable")
@torch.no_grad()
def stable(folder):
    dump(folder + "/request.json", {"options": {"outputLabel": "natural"}})
    return wav2vec2(folder, label=1, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=19, conv_dim=[5, 9], conv_kernel=[9, 4], conv_stride=[4, 3],
                    num_feat_extract_layers=2, num_conv_pos_embeddings=5, num_conv_pos_embedding_groups=3, classifier_proj_size=7, feat_extract_norm="layer", conv_bias=True,
                    do_stable_layer_norm=True, use_weighted_layer_sum=True, layer_norm_eps=2e-5, hidden_act="gelu_new", num_labels=2,
                    id2label={0: "artificial", 1: "natural"}, label2id={"artificial": 0, "natural": 1})


def fairseq_name(key):
    """transformers' name of a tensor of the encoder, as fairseq has it."""
    for pattern, name in ((r"conv_layers\.(\d+)\.conv\.", r"conv_layers.\1.0."), (r"conv_layers\.0\.layer_norm", "conv_layers.0.2"), (r"feature_projection\.projection", "post_extract_proj"),
                          (r"feature_projection\.", ""), (r"pos_conv_embed\.conv\.parametrizations\.weight\.original0", "pos_conv.0.weight_g"), (r"pos_conv_embed\.conv\.parametrizations\.weight\.original1", "pos_conv.0.weight_v"),
                          (r"pos_conv_embed\.conv", "pos_conv.0"), (r"masked_spec_embed", "mask_emb"), (r"(layers\.\d+)\.layer_norm", r"\1.self_attn_layer_norm"), (r"(layers\.\d+)\.attention", r"\1.self_attn"),
                          (r"feed_forward\.intermediate_dense", "fc1"), (r"feed_forward\.output_dense", "fc2")):
        key = re.sub(pattern, name, key)
    return "wav2vec2." + key


@fixture("utmos22")
@torch.no_grad()
def utmos22(folder):
    from transformers import Wav2Vec2Config, Wav2Vec2Model
    config = Wav2Vec2Config(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=17, conv_dim=[6, 7], conv_kernel=[10, 3], conv_stride=[5, 2], num_feat_extract_layers=2,
                            num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4, mask_time_prob=0.05, attn_implementation="eager")
    encoder = lengths(trained(Wav2Vec2Model(config)))
    rest = trained(torch.nn.ModuleDict({"blstm": torch.nn.LSTM(12 + 3 + 2, 5, batch_first=True, bidirectional=True),
                                        "projection": torch.nn.Sequential(torch.nn.Linear(10, 9), torch.nn.ReLU(), torch.nn.Linear(9, 1))}))
    domain, judge = torch.randn(1, 3), torch.randn(1, 2)
    torch.save({fairseq_name(k): v for k, v in encoder.state_dict().items()} | rest.state_dict() | {"domain_emb": domain, "judge_emb": judge}, folder + "/utmos22_tiny.pt")
    dump(folder + "/config.json", {"num_attention_heads": 3, "conv_stride": [5, 2]})

    def run(x):
        frames = encoder(x)[0]
        side = torch.cat([domain, judge], 1)[:, None].expand(*frames.shape[:2], -1)
        scores = rest["projection"](rest["blstm"](torch.cat([frames, side], 2))[0])
        return {"input_values": x}, {"utility_logit": scores.mean(1)[:, 0] * 2 + 3}
    return {"item": run(torch.randn(3, 600) * 0.2), "raw": run(torch.from_numpy(np.stack(recordings(folder))))}

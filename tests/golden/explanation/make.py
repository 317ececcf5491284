"""Golden attributions by captum 0.9 on the files that hpsv3 exports, read by onnx2torch: cases.json.

    npm run build; python tests/golden/explanation/make.py      (torch 2.15, captum 0.9.0, onnx2torch 1.5.15, onnx, onnxruntime)

A ReLU or a maximum within rounding of a tie may open in one engine and not in the other; the seeds of pictures and noise are such that none does.

Every case states how its file is exported and which inputs it is given; inputs and noise come from `hashed`, which the test has too. Of each attribution
are kept its norm, its largest magnitude, and every STRIDE-th element; of small ones all.
"""
import json, os, subprocess, sys, tempfile
import numpy as np
import onnx, onnxruntime, torch
from onnx2torch import convert
from captum.attr import (FeatureAblation, InputXGradient, IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
STRIDE = 61
NODES, COPIES, NOISE = 8, 2, 0.1
torch.manual_seed(0)
torch.set_num_threads(1)


def hashed(count, seed):
    """Numbers in [-1, 1) by a hash of their places: the same in every language."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(7919 * seed + 1)) & np.uint64(0xFFFFFFFF)
    mul = lambda a, b: (a * np.uint64(b)) & np.uint64(0xFFFFFFFF)
    x = mul(x, 0x9E3779B1); x ^= x >> np.uint64(15); x = mul(x, 0x85EBCA77); x ^= x >> np.uint64(13)
    return (x.astype(np.float64) / 2**31 - 1).astype(np.float32)


IDS = {"left": [2, 30, 31, 7, 25, 12, 9, 20, 3], "right": [2, 24, 8, 3], "item": [2, 30, 31, 7, 25, 12, 9, 20, 3]}
MINI = "checkpoints/hpsv3-mini-a/model.safetensors"
CASES = [
    dict(name="mini-image", image_seed=11, noise_seed=300, checkpoint=MINI, modality="image", mode="pair", kind="pair", image=[3, 96, 96], patch=32),
    dict(name="mini-text", checkpoint=MINI, modality="text", mode="pair", kind="pair", pad=0, text="text/embeddings/Add_1", lengths=dict(left=16, right=8)),
    dict(name="mini-image-text", image_seed=11, checkpoint=MINI, modality="image-text", mode="pair", kind="pair", image=[3, 96, 96], patch=32, pad=0, text="text/embeddings/Add_1", lengths=dict(left=16, right=8)),
    dict(name="clip", checkpoint="tests/golden/families/clip-transformers", mode="item", kind="item", patch=8, lengths=dict(item=16)),
    dict(name="bert", checkpoint="tests/golden/encoders/bert", mode="item", kind="pair", lengths=dict(left=16, right=8)),
]


def export(case, folder):
    out = os.path.join(folder, case["name"] + ".onnx")
    more = ["--modality", case["modality"]] if "modality" in case else []
    subprocess.run(["node", "bin/run.js", "export", "--checkpoint", case["checkpoint"], "--mode", case["mode"], "--gate", "off", "--out", out, *more], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return out


def embedding_value(graph, ids):
    """The sum of what the ids are embedded as: the last of a chain of additions that starts at their row of a table."""
    users = lambda value: [n for n in graph.node if value in n.input]
    value = next(n for n in users(ids) if n.op_type == "Gather").output[0]
    while len(users(value)) == 1 and users(value)[0].op_type == "Add":
        value = users(value)[0].output[0]
    return value


def fed(model, values):
    """The model with inner values as inputs."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for at, value in enumerate(values):
        for node in model.graph.node:
            for i, name in enumerate(node.input):
                if name == value:
                    node.input[i] = f"fed_{at}"
        model.graph.input.append(onnx.helper.make_tensor_value_info(f"fed_{at}", onnx.TensorProto.FLOAT, None))
    return model


def run_ort(model, output, feeds):
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    return session.run([output], {k: v for k, v in feeds.items() if k in names})[0]


def parts_of(case, model):
    """Feeds of the graph and the parts to explain, by side."""
    sides = ["left", "right"] if case["kind"] == "pair" else ["item"]
    graph = model.graph
    inputs = {i.name: i for i in graph.input}
    feeds, parts = {}, []
    for at, side in enumerate(sides):
        prefix = side + "_" if case["mode"] == "pair" else ""
        own = {}
        for name, info in inputs.items():
            if not name.startswith(prefix):
                continue
            dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
            if name.endswith("pixel_values"):
                own[name] = hashed(int(np.prod(dims[1:])), case.get("image_seed", 1) + at).reshape(1, *dims[1:])
            else:
                ids, length = IDS[side], case["lengths"][side]
                if case["name"] == "clip":
                    ids = [i % 40 for i in ids[:min(len(ids), length) - 1]] + [case["end"]]
                row = np.zeros((1, length), np.int64)
                pad = case["pads"] if "pads" in case else 0
                if name.endswith("input_ids"):
                    row[:] = pad; row[0, :len(ids)] = ids
                elif name.endswith("attention_mask"):
                    row[0, :len(ids)] = 1
                own[name] = row
        feeds[side] = own
    everything = {name: value for own in feeds.values() for name, value in own.items()}
    for side, own in feeds.items():
        for name in own:
            if name.endswith("pixel_values"):
                parts.append(dict(side=side, kind="image", value=name, x=own[name], baseline=np.zeros_like(own[name])))
            if name.endswith("input_ids"):
                value = embedding_value(graph, name)
                x = run_ort(model, value, {**everything, **own})
                padded = run_ort(model, value, {**everything, **own, name: np.full_like(own[name], case["pads"] if "pads" in case else 0)})
                parts.append(dict(side=side, kind="text", value=value, ids=name, x=x, baseline=np.broadcast_to(padded[:, :1], x.shape).copy()))
    return feeds, parts


def kept(tensor):
    a = np.asarray(tensor, np.float32).reshape(-1)
    stride = STRIDE if a.size > 256 else 1
    return dict(stride=stride, norm=float(np.linalg.norm(a.astype(np.float64))), largest=float(np.abs(a).max()), samples=[float(v) for v in a[::stride]])


def make(case, folder):
    path = export(case, folder)
    model = onnx.load(path)
    manifest = json.loads(next(p.value for p in model.metadata_props if p.key == "hpsv3.manifest"))
    for entry in manifest["inputs"]:
        if entry["preprocess"]["kind"] == "text":
            case["pads"] = entry["preprocess"]["pad"]
            case["lengths"] = {side: min(length, entry["preprocess"]["maxTokens"]) for side, length in case["lengths"].items()}
            if "end" in entry["preprocess"]:
                case["end"] = entry["preprocess"]["end"]
    del model.metadata_props[:]
    output = "pair_logit" if case["mode"] == "pair" else "utility_logit"
    feeds, parts = parts_of(case, model)
    embedded = sorted({p["value"] for p in parts if p["kind"] == "text"})
    cut = fed(model, embedded)
    for p in parts:
        p["fed"] = f"fed_{embedded.index(p['value'])}" if p["kind"] == "text" else p["value"]
    keep = [o for o in cut.graph.output if o.name == output]
    del cut.graph.output[:]; cut.graph.output.extend(keep)
    net = convert(cut).eval()
    order = [i.name for i in cut.graph.input]
    sides = list(feeds)

    def apply(net, values, side, batch):
        tensors = []
        for name in order:
            if name in values: tensors.append(values[name])
            else: tensors.append(torch.tensor(feeds[side][name]).expand(batch, *feeds[side][name].shape[1:]))
        return net(*tensors).reshape(-1)

    def f(*xs):
        batch = xs[0].shape[0]
        if case["mode"] == "pair":
            for side in sides[1:]: feeds[sides[0]].update({k: v for k, v in feeds[side].items()})
            return apply(net, {p["fed"]: x for p, x in zip(parts, xs)}, sides[0], batch)
        logits = [apply(net, {p["fed"]: x for p, x in zip(parts, xs) if p["side"] == side}, side, batch) for side in sides]
        return logits[0] - logits[1] if len(logits) == 2 else logits[0]

    def f_ids(*all_ids):
        batch = all_ids[0].shape[0]
        texts = [p for p in parts if p["kind"] == "text"]
        whole = whole_net
        named = {p["ids"] + "/" + p["side"]: v for p, v in zip(texts, all_ids)}
        out = []
        for side in (sides[:1] if case["mode"] == "pair" else sides):
            tensors = []
            for name in whole_order:
                hit = [v for k, v in named.items() if k.rsplit("/", 1)[0] == name and (case["mode"] == "pair" or k.endswith("/" + side))]
                source = next(feeds[s][name] for s in ([side] + sides) if name in feeds[s])
                tensors.append(hit[0].long() if hit else torch.tensor(source).expand(batch, *source.shape[1:]))
            out.append(whole(*tensors).reshape(-1))
        return out[0] - out[1] if len(out) == 2 else out[0]

    xs = tuple(torch.tensor(p["x"]) for p in parts)
    bases = tuple(torch.tensor(p["baseline"]) for p in parts)
    with torch.no_grad():
        logit = f(*xs).item()
    result = dict(name=case["name"], checkpoint=case["checkpoint"], modality=case.get("modality"), mode=case["mode"], kind=case["kind"], patch=case.get("patch"), imageSeed=case.get("image_seed", 1), noiseSeed=case.get("noise_seed", 100), logit=logit,
                  parts=[dict(side=p["side"], kind=p["kind"], shape=list(p["x"].shape[1:])) for p in parts],
                  ids={s: [int(v) for v in next((row[0] for name, row in feeds[s].items() if name.endswith("input_ids")), [])] for s in sides},
                  masks={s: [int(v) for v in next((row[0] for name, row in feeds[s].items() if name.endswith("attention_mask")), [])] for s in sides})
    methods = {}
    methods["gradient"] = Saliency(f).attribute(xs, abs=False)
    methods["input-x-gradient"] = InputXGradient(f).attribute(xs)
    methods["ig"] = IntegratedGradients(f).attribute(xs, baselines=bases, n_steps=NODES, method="gausslegendre", internal_batch_size=None)
    drawn = iter([hashed(COPIES * int(np.prod(p["x"].shape)), case.get('noise_seed', 100) + i).reshape(COPIES, *p["x"].shape[1:]) for i, p in enumerate(parts)])
    normal, torch.normal = torch.normal, lambda mean, std: std * torch.tensor(next(drawn))
    methods["smoothgrad"] = NoiseTunnel(Saliency(f)).attribute(xs, nt_type="smoothgrad", nt_samples=COPIES, stdevs=tuple(NOISE * float(p["x"].max() - p["x"].min()) for p in parts), abs=False)
    torch.normal = normal
    images = [i for i, p in enumerate(parts) if p["kind"] == "image"]
    if images:
        windows = tuple((3, case["patch"], case["patch"]) if i in images else tuple(parts[i]["x"].shape[1:]) for i in range(len(parts)))
        occluded = Occlusion(f).attribute(xs, sliding_window_shapes=windows, strides=windows, baselines=bases)
        methods["occlusion"] = [occluded[i][0, 0] if i in images else None for i in range(len(parts))]
        cams = []
        for i in images:
            convs = [n for n in cut.graph.node if n.op_type == "Conv"]
            side = parts[i]["side"]
            if case["mode"] == "pair": convs = [n for n in convs if reaches(cut.graph, parts[i]["value"], n)]
            module = module_of(net, convs[-1])
            cams.append(LayerGradCam(f, module).attribute(xs, attr_dim_summation=True))
        methods["gradcam"] = [cams[images.index(i)] if i in images else None for i in range(len(parts))]
    texts = [i for i, p in enumerate(parts) if p["kind"] == "text"]
    if texts:
        whole_model = onnx.ModelProto.FromString(model.SerializeToString())
        keep = [o for o in whole_model.graph.output if o.name == output]
        del whole_model.graph.output[:]; whole_model.graph.output.extend(keep)
        whole_net = convert(whole_model).eval()
        whole_order = [i.name for i in whole_model.graph.input]
        ids = tuple(torch.tensor(feeds[parts[i]["side"]][parts[i]["ids"]]) for i in texts)
        ablated = FeatureAblation(f_ids).attribute(ids, baselines=tuple(case["pads"] for _ in ids))
        methods["occlusion-text"] = [ablated[texts.index(i)] if i in texts else None for i in range(len(parts))]
    for rule in ("rollout", "relevance") if case["name"] in STREAMS else ():
        methods[rule] = by_attention(case, rule, cut.graph, net, f, xs, parts)
    result["methods"] = {name: [None if a is None else kept(a.detach().numpy() if torch.is_tensor(a) else a) for a in found] for name, found in methods.items()}
    print(case["name"], logit, {n: [None if a is None else round(a["largest"], 5) for a in v] for n, v in result["methods"].items()}, flush=True)
    return result


# Streams of tokens by the names of their attentions, in the order they are computed; `cross` says which streams each attention of it looks at instead of its own.
# `source` is the kind of part that a stream's tokens are; `before` learned tokens come first.
STREAMS = {
    "bert": [dict(name="text", source="text", match="layer.", before=0)],
    "clip": [dict(name="image", source="image", match="vision/", before=1), dict(name="text", source="text", match="text/", before=0)],
    "mini-image-text": [dict(name="image", source="image", match="visual/", before=0), dict(name="text", source="text", match="text/", before=0),
                        dict(name="latents", source=None, match="fusion/", cross=["image", "text"])],
}


def handle_residual(R):
    """hila-chefer/Transformer-MM-Explainability, lxmert/src/ExplanationGenerator.py, with rows that look nowhere left alone."""
    R = R - np.eye(len(R))
    total = R.sum(-1, keepdims=True)
    return np.divide(R, total, out=np.zeros_like(R), where=total > 0) + np.eye(len(R))


def by_attention(case, rule, graph, net, f, xs, parts):
    """Rollout of Abnar and Zuidema, and the rules of Chefer, Gur and Wolf, from the weights that PyTorch computes and its gradients."""
    softmaxes = [n for n in graph.node if n.op_type == "Softmax"]
    products = {n.name: next(m for m in graph.node if m.op_type == "MatMul" and m.input[0] == n.output[0]) for n in softmaxes}
    calls, hooks = {n.name: [] for n in softmaxes}, []
    gathered = {n.name: [] for n in softmaxes}
    for n in softmaxes:
        keep = lambda module, inputs, output, into: (output.retain_grad(), into.append(output)) and None
        hooks.append(module_of(net, n).register_forward_hook(lambda m, i, o, into=calls[n.name]: keep(m, i, o, into)))
        hooks.append(module_of(net, products[n.name]).register_forward_hook(lambda m, i, o, into=gathered[n.name]: keep(m, i, o, into)))
    f(*[x.clone().requires_grad_() for x in xs]).sum().backward()
    for hook in hooks: hook.remove()
    found = []
    for side in dict.fromkeys(p["side"] for p in parts):
        prefix = side + "/" if case["mode"] == "pair" else ""
        call = 0 if case["mode"] == "pair" or side != "right" else 1
        sign = -1 if side == "right" else 1
        R = {}
        of = {}
        last = {}
        for n in softmaxes:
            if not n.name.startswith(prefix): continue
            stream = next(s for s in STREAMS[case["name"]] if n.name[len(prefix):].startswith(s["match"]))
            A = calls[n.name][call].detach().numpy().astype(np.float64)
            G = calls[n.name][call].grad.numpy().astype(np.float64)
            A, G = A.reshape(-1, *A.shape[-2:]), G.reshape(-1, *G.shape[-2:])
            mean = A.mean(0) if rule == "rollout" else np.maximum(0, sign * A * G).mean(0)
            name = stream["name"]
            of.setdefault(name, stream)
            R.setdefault(name, {name: np.eye(mean.shape[0])})
            last[name] = (n, call)
            if "cross" not in stream:
                step = (mean + np.eye(len(mean))) / 2 if rule == "rollout" else mean + np.eye(len(mean))
                R[name] = {s: step @ m for s, m in R[name].items()}
                continue
            own, start, more = R[name], 0, {}
            for other in stream["cross"]:
                size = R[other][other].shape[0]
                part = mean[:, start:start + size]; start += size
                for s, m in R[other].items():
                    step = handle_residual(own[name]).T @ part @ handle_residual(m) if rule == "relevance" and s == other else part @ m
                    more[s] = more.get(s, 0) + step
            half = 0.5 if rule == "rollout" else 1
            R[name] = {s: half * own.get(s, 0) + half * more.get(s, 0) for s in {**own, **more}}
        crossed = {o for s in of.values() for o in s.get("cross", [])}
        totals = {}
        for name, (n, call_) in last.items():
            if name in crossed: continue
            g = np.abs(gathered[n.name][call_].grad.numpy().astype(np.float64))
            g = g.reshape(-1, *g.shape[-2:]).sum((0, 2)); g /= g.sum()
            for s, m in R[name].items(): totals[s] = totals.get(s, 0) + g @ m
        for p in parts:
            if p["side"] != side: continue
            stream = next(s for s in of.values() if s["source"] == p["kind"])
            found.append((p, totals[stream["name"]][stream["before"]:]))
    return [next(v for q, v in found if q is p) for p in parts]


def reaches(graph, value, node):
    seen = {value}
    for each in graph.node:
        if any(i in seen for i in each.input):
            seen.update(each.output)
        if each.output[0] == node.output[0]:
            return any(i in seen for i in each.input)


def module_of(net, node):
    """onnx2torch names its modules after nodes."""
    modules = dict(net.named_modules())
    for name in (node.name, node.name.replace("/", "_"), node.name.replace("/", "_").replace(".", "_")):
        if name in modules: return modules[name]
    flat = lambda text: "".join(c if c.isalnum() else "_" for c in text).strip("_")
    found = [m for n, m in modules.items() if flat(n) == flat(node.name)]
    assert len(found) == 1, (node.name, [n for n in modules if "Conv" in n][:5])
    return found[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cases = [make(case, folder) for case in CASES if len(sys.argv) < 2 or case["name"] in sys.argv[1:]]
    with open(os.path.join(HERE, "cases.json"), "w") as out:
        json.dump(dict(nodes=NODES, copies=COPIES, noise=NOISE, cases=cases), out)
        out.write("\n")

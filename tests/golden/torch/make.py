"""Files of torch.save that the reader's tests open, with the values torch reads from them.

Made with torch 1.13.0 (Python 3.12): python make.py
Values are bytes of the contiguous tensor, little-endian, in hexadecimal.
"""
import argparse
import collections
import json
import pathlib

import torch

here = pathlib.Path(__file__).parent


def save(name, value, **options):
    torch.save(value, here / name, **options)


def value_bytes(tensor):
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    return bytes(tensor.storage().untyped().tolist())[: tensor.numel() * tensor.element_size()]


base = torch.arange(24, dtype=torch.float32)
views = collections.OrderedDict()
views['base'] = base.view(4, 6)
views['tied'] = views['base']
views['offset'] = base[5:11]
views['step'] = base[1::3]
views['transposed'] = base.view(4, 6).t()
views['permuted'] = base.view(2, 3, 4).permute(2, 0, 1)
views['expanded'] = base[:3].expand(5, 3)
views['narrowed'] = base.view(4, 6)[:, 2:4]
views['scalar'] = torch.tensor(3.5)
views['empty'] = torch.zeros(0, 4)
views['parameter'] = torch.nn.Parameter(torch.ones(2))
for dtype in 'float64 float16 bfloat16 int8 int16 int32 int64 uint8 complex64 complex128'.split():
    views[dtype] = torch.arange(6).view(2, 3).to(getattr(torch, dtype)).t()
views['bool'] = torch.tensor([True, False, True])
views._metadata = {'': {'version': 1}}

save('views.pt', views)
save('views-legacy.pth', views, _use_new_zipfile_serialization=False)
save('views-protocol4.pt', views, pickle_protocol=4)
expected = {
    name: {'shape': list(t.shape), 'contiguous': t.is_contiguous(), 'bytes': value_bytes(t).hex()} for name, t in views.items()
}
(here / 'views.json').write_text(json.dumps(expected, indent=1) + '\n')

linear = torch.nn.Linear(3, 2)
wrapped = collections.OrderedDict((f'module._orig_mod.{name}', value) for name, value in linear.state_dict().items())
optimizer = torch.optim.Adam(linear.parameters())
linear(torch.ones(3)).sum().backward()
optimizer.step()
save('training.ckpt', {
    'epoch': 3,
    'model': wrapped,
    'ema': {name: value * 2 for name, value in wrapped.items()},
    'optimizer': optimizer.state_dict(),
    'args': argparse.Namespace(lr=0.1, layers=[1, 2], name='nano', __proto__='a key'),
    'best': float('nan'),
    'seed': 2**70,
    'device': torch.device('cpu'),
    'dtype': torch.float16,
})
save('list.pt', [torch.ones(2), torch.zeros(3)])
save('tensor.pt', torch.ones(2))
save('module.pt', linear)
save('module-legacy.pth', linear, _use_new_zipfile_serialization=False)
torch.jit.script(linear).save(str(here / 'script.pt'))

"""Holds label-studio.json of a session to Label Studio's own SDK: every annotation is valid in the interface that docs/labelling.md gives.

pip install label-studio-sdk==2.1.2
python tests/golden/labelling/label_studio.py label-studio.json
"""
import json
import sys

from label_studio_sdk.label_interface import LabelInterface

CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Pairwise name="preference" toName="left,right"/>
  <Text name="left" value="$left"/>
  <Text name="right" value="$right"/>
  <Choices name="tie" toName="left">
    <Choice value="tie"/>
    <Choice value="both_bad"/>
  </Choices>
</View>"""

interface = LabelInterface(CONFIG)
tasks = json.load(open(sys.argv[1]))
valid = invalid = cancelled = 0
for task in tasks:
    for annotation in task["annotations"]:
        if annotation["was_cancelled"]:
            cancelled += 1
        if interface.validate_annotation(annotation):
            valid += 1
        else:
            invalid += 1
            print("invalid:", json.dumps(annotation))
print(json.dumps({"tasks": len(tasks), "valid": valid, "invalid": invalid, "cancelled": cancelled}))
sys.exit(1 if invalid else 0)

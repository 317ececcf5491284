#!/bin/sh
# Scores one file with an array of Slurm tasks, each its shard by row id, then merge:
#   sbatch --array=0-7 slurm-batch.sh model.onnx pairs.jsonl media/ out/
#   hpsv3 batch merge out/scores-*.jsonl --input pairs.jsonl --out scores.jsonl
#SBATCH --job-name=hpsv3-batch
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue

set -u
model=$1 input=$2 media=$3 folder=$4
mkdir -p "$folder"
out=$folder/scores-$SLURM_ARRAY_TASK_ID.jsonl
[ -e "$out" ] && exit 0

# A task that was requeued goes on where it was.
hpsv3 batch --model "$model" --input "$input" --out "$out" --media-root "$media" \
  --batch-size 64 --device auto --threads "$SLURM_CPUS_PER_TASK" \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --resume --quiet
code=$?
# 6: some rows failed; they are in scores-I.jsonl.errors.jsonl, and the shard is done.
[ $code -eq 6 ] && exit 0
exit $code

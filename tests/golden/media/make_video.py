"""Clips in video/, by FFmpeg: 20 frames of 32 x 24 pixels at 10 Hz, frame n of the grey level 12 n (H.264 and VP9 keep it to 2).

Not run by make.py: another FFmpeg writes other bytes.
"""
import pathlib
import subprocess

FOLDER = pathlib.Path(__file__).parent / "video"
GREYS = "color=black:size=32x24:rate=10,geq=lum='16+clip(n*12,0,255)*219/255':cb=128:cr=128"
H264 = ["-c:v", "libx264", "-qp", "2", "-pix_fmt", "yuv420p", "-bf", "2"]
VP9 = ["-c:v", "libvpx-vp9", "-lossless", "1", "-pix_fmt", "yuv420p"]


def clip(name, *options, seconds=2, source=GREYS):
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source.replace("(n*", "(N*"), "-t", str(seconds), "-an"]
    bitexact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
    subprocess.run([*command, *options, *bitexact, str(FOLDER / name)], check=True)


def main():
    FOLDER.mkdir(exist_ok=True)
    clip("index-last.mp4", *H264)
    clip("index-first.mp4", *H264, "-movflags", "+faststart")
    clip("plain.webm", *VP9)
    clip("live.webm", *VP9, "-live", "1")
    clip("eleven-seconds.mp4", *H264, seconds=11, source=GREYS.replace("rate=10", "rate=1"))
    clip("eleven-seconds.webm", *VP9, "-live", "1", seconds=11, source=GREYS.replace("rate=10", "rate=1"))
    tones = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.2"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *tones, "-c:a", "aac", "-b:a", "16k", "-fflags", "+bitexact", str(FOLDER / "sound-only.mp4")], check=True)


if __name__ == "__main__":
    main()

"""The paper's numbers, as its tables print them (LongDWM, arXiv 2506.01546)."""

SHORT_SAMPLES = 5369
"""Table 1 starts from every nuScenes val sample that leaves 24 frames, as Vista does."""
LONG_SAMPLES = 750
CONTROLLABLE_SAMPLES = 1500
INTERPOLATION_SAMPLES = 5369
ABLATION_SAMPLES = 750
DISTILLATION_SAMPLES = 750

TABLE_1 = {
    "LongDWM": (12.3, 102.9),
    "CogVideoX-sft": (15.8, 117.0),
    "Vista": (6.9, 89.4),
    "Vista (re-evaluated)": (7.6, 128.5),
    "UniMLVG": (30.5, 149.7),
    "GenAD": (15.4, 184.0),
    "Drive-WM": (15.8, 122.7),
    "WoVoGen": (27.6, 417.7),
    "DriveDreamer": (52.6, 452.0),
    "DriveGAN": (73.4, 502.3),
    "VAE reconstruction": (4.9, 31.3),
}
"""FID, FVD."""

TABLE_2 = {
    "LongDWM": (188.5, 242.2, 289.5, 35, 70, 70),
    "Vista": (174.1, 277.5, 398.5, 95, 285, 475),
    "SVD": (194.6, 352.4, 753.0, 44, 132, 220),
    "CogVideoX-I2V-5B": (400.3, 482.5, 533.7, 140, 660, 990),
    "DynamiCrafter": (357.5, 602.4, 1155.5, 88, 220, 352),
    "I2VGen-XL": (768.1, 1214.2, 1616.3, 78, 234, 390),
}
"""FVD at 25, 69 and 113 frames, seconds on one A100 at each."""

TABLE_4 = {"LongDWM": (12.7, 69.6), "CogVideoX + Vista's feature": (13.0, 89.8), "Vista": (9.3, 118.8)}
"""FID, FVD with trajectories."""

TABLE_6 = {"CogVideoX-sft": 347.7, "+ coarse/fine": 300.3, "+ distillation": 290.6}
"""FVD."""

TABLE_8 = {"Fine DiT": (15.8, 117.5), "FRAMER": (29.0, 147.6), "SEINE": (23.4, 213.6)}
"""FID, FVD of interpolation."""

TABLE_10 = {
    50: (94.6, 67.1, 55.1),
    100: (95.0, 64.7, 54.9),
    150: (94.7, 65.5, 54.8),
    200: (94.6, 64.7, 57.8),
    250: (94.9, 66.2, 56.4),
}
"""VBench motion smoothness, imaging quality, aesthetic quality in per cent, by distillation steps."""

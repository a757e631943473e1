"""What the user asked for, whole: the sections, the datasets, the prompts, and the checks between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tuner.flux.catalog import Flavour, flavour
from tuner.settings.adapter import Adapter
from tuner.settings.dataset import CONDITIONING, EVALUATION, PICTURES, ImageDataset
from tuner.settings.dataset_defaults import Dataset
from tuner.settings.fields import Spec, specs_of
from tuner.settings.memory import Memory
from tuner.settings.model import Model
from tuner.settings.objective import Objective
from tuner.settings.optimization import Optimization
from tuner.settings.sampling import SamplePrompt, Sampling
from tuner.settings.saving import Saving

TOKEN = "<token>"
SIZES = ("resolution", "resolution_type", "maximum_image_size", "target_downsample_size")


@dataclass(frozen=True)
class RunSettings:
    """`library` holds the sample prompts as written, `prompts` with `<token>` filled in.

    `unused` names per file the keys that have no use here; `written` holds the files' own text, so that
    saving touches nothing but what was changed.
    """

    model: Model = Model()
    memory: Memory = Memory()
    adapter: Adapter = Adapter()
    optimization: Optimization = Optimization()
    objective: Objective = Objective()
    dataset: Dataset = Dataset()
    sampling: Sampling = Sampling()
    saving: Saving = Saving()
    datasets: tuple[ImageDataset, ...] = ()
    library: tuple[SamplePrompt, ...] = ()
    lycoris: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)
    written: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def trigger(self) -> str:
        """The trigger word: the first instance prompt there is, or ""."""
        for one in self.datasets:
            prompt = one.instance_prompt
            if prompt and not one.disabled:
                return prompt if isinstance(prompt, str) else prompt[0]
        return ""

    @property
    def flavour(self) -> Flavour:
        """The one that was chosen; krea where neither a flavour nor a model is given, as in SimpleTuner."""
        model = self.model
        given = model.pretrained_model_name_or_path or model.pretrained_transformer_model_name_or_path
        return flavour(model.model_flavour or ("dev" if given else "krea"))

    @property
    def prompts(self) -> tuple[SamplePrompt, ...]:
        """The prompt library with the trigger in the place of `<token>`, in names too."""
        trigger = self.trigger or TOKEN
        return tuple(
            replace(one, name=one.name.replace(TOKEN, trigger), prompt=one.prompt.replace(TOKEN, trigger))
            for one in self.library
        )

    @property
    def active_datasets(self) -> tuple[ImageDataset, ...]:
        """The datasets to learn from, each with every value filled in from the options for all."""
        return self._switched_on(PICTURES)

    @property
    def evaluation_datasets(self) -> tuple[ImageDataset, ...]:
        """The datasets whose loss is measured now and then, likewise filled in; none where it is not asked
        for.
        """
        return self._switched_on(EVALUATION) if self.sampling.eval_steps_interval else ()

    def _switched_on(self, kind: str) -> tuple[ImageDataset, ...]:
        common = {**vars(self.dataset), "train_batch_size": self.optimization.train_batch_size}
        return tuple(
            _filled(one, common)
            for one in self.datasets
            if one.holds == kind and not one.disabled and one.probability > 0
        )

    @property
    def conditioning_datasets(self) -> tuple[ImageDataset, ...]:
        """The datasets of masks and references that are switched on, as written."""
        return tuple(one for one in self.datasets if one.holds == CONDITIONING and not one.disabled)

    def companions(self, one: ImageDataset) -> tuple[ImageDataset, ...]:
        """The masks and references of an active dataset: those it names, and those that name it. What they
        do not say about sizes is as in the dataset itself.
        """
        named = one.conditioning_data or ()
        named = (named,) if isinstance(named, str) else named
        own = {name: vars(one)[name] for name in SIZES}
        return tuple(
            _filled(other, own)
            for other in self.conditioning_datasets
            if other.id in named or other.source_dataset_id == one.id
        )


def _filled(one: ImageDataset, common: Mapping[str, Any]) -> ImageDataset:
    return replace(
        one, **{name: common[name] for name, value in vars(one).items() if value is None and name in common}
    )


SECTIONS: dict[str, type[Any]] = {
    "model": Model,
    "memory": Memory,
    "adapter": Adapter,
    "optimization": Optimization,
    "objective": Objective,
    "dataset": Dataset,
    "sampling": Sampling,
    "saving": Saving,
}


@cache
def specs() -> tuple[Spec, ...]:
    """Every setting of config.json; form, codec and docs are loops over this."""
    return tuple(spec for section, owner in SECTIONS.items() for spec in specs_of(section, owner))


@cache
def dataset_specs() -> tuple[Spec, ...]:
    """Every setting of one dataset; the section is `datasets.<id>` in a path."""
    return tuple(specs_of("datasets", ImageDataset))

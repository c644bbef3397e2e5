"""Encoders of a few thousand random weights, tokenizers of a few words, and tasks of a few hundred rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from cpd.domains.settings import Finetuning
from cpd.domains.text.tasks import Split, TextTask, accuracy, pearson

WORDS = {"good": 1, "great": 1, "fine": 1, "bad": 0, "poor": 0, "dull": 0}
FILLERS = ("film", "book", "meal", "song", "trip", "phone")
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}


def encoder(folder: Path, family: str = "bert") -> Path:
    """Save a base encoder (no head) and its tokenizer, as a user would have them in a folder."""
    words = _tokenizer(family)
    words.save_pretrained(folder)
    torch.manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForSequenceClassification.from_config(_config(family, len(words))).base_model.save_pretrained(folder)
    return folder


def _config(family: str, vocabulary: int) -> PretrainedConfig:
    size = {"vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    size |= {"intermediate_size": 16, "max_position_embeddings": 40, "pad_token_id": 0}
    if family == "roberta":
        return RobertaConfig(**size | {"type_vocab_size": 1})
    if family == "deberta":
        return DebertaConfig(
            **size | {"type_vocab_size": 0, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
            max_relative_positions=16,
        )
    return BertConfig(**size)


def _tokenizer(family: str) -> PreTrainedTokenizerFast:
    special = ROBERTA if family == "roberta" else SPECIAL
    if family == "bert":
        vocabulary = [*special.values(), *WORDS, *FILLERS, "a", "is", "the"]
        raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, "[UNK]"))
        raw.pre_tokenizer = pre_tokenizers.Whitespace()
    else:
        trained = ByteLevelBPETokenizer()
        trained.train_from_iterator([" ".join(WORDS), " ".join(FILLERS)], 300, 1, False, list(special.values()))
        raw = Tokenizer.from_str(trained.to_str())
    cls, sep = special["cls_token"], special["sep_token"]
    ids = [(token, raw.token_to_id(token)) for token in (cls, sep)]
    raw.post_processor = processors.TemplateProcessing(f"{cls} $A {sep}", f"{cls} $A {sep} $B {sep}", ids)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_input_names=inputs, model_max_length=38, **special)


def reviews(rows: int = 240, seed: int = 0) -> tuple[Split, None]:
    """Make sentences that are positive or negative by one word."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(rows):
        word, filler = random.choice(list(WORDS)), random.choice(FILLERS, 3)
        texts.append((f"{i % 7 * 'the '}{filler[0]} is {word} {filler[1]} a {filler[2]} {i}",))
        labels.append(WORDS[word])
    return Split(texts, np.array(labels)), None


def ratings() -> tuple[Split, None]:
    """The same kind of sentences with a number to predict."""
    rows, _ = reviews(seed=1)
    return Split(rows.texts, rows.labels * 0.6 + 0.2), None


REVIEWS = TextTask("reviews", "Tell good reviews from bad ones.", ("bad", "good"), accuracy, 20, reviews)
RATINGS = TextTask("ratings", "Rate how good a review is.", (), pearson, 20, ratings)
CARDS = (REVIEWS, RATINGS)


def spec(base: Path, **changes: object) -> Finetuning:
    """Fine-tuning of a few steps."""
    sizes = {"runs": 2, "held_out": 1, "keep": 4, "batch": 8, "max_length": 24, "curve": 2}
    return Finetuning(base=str(base), **sizes | {"select_rows": 16, "report_rows": 24} | changes)


def lora(base: Path, seed: int = 0, labels: int = 3, dtype: torch.dtype = torch.float32, **config: object) -> PeftModel:
    """Return an encoder with an adapter whose every weight, B included, is random."""
    fields = {"r": 2, "lora_alpha": 8, "target_modules": ["query", "value"], "modules_to_save": ["classifier"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        head = AutoConfig.from_pretrained(base, num_labels=labels)
        model = AutoModelForSequenceClassification.from_pretrained(base, config=head)
        made = get_peft_model(model, LoraConfig(**{"task_type": "SEQ_CLS"} | fields | config)).to(dtype).eval()
        torch.manual_seed(seed)
        for name, weight in made.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.data.normal_(0, 0.3)
    return made


def logits(model: torch.nn.Module) -> torch.Tensor:
    """Run a model on fixed tokens."""
    ids = torch.arange(5, 17).reshape(2, 6)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits

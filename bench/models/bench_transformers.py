"""Models of Hugging Face transformers, of small configurations: the inputs are a dict with the labels.

They return the loss, so the workload has none.
"""

import pytest
import torch

from breakeven import Workload

INSTALL = "needs transformers: pip install transformers"
VOCABULARY = 4096


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-4)


def bert(batch_size, length):
    transformers = pytest.importorskip("transformers", reason=INSTALL)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=512,
    )
    return Workload(
        model=transformers.BertForSequenceClassification(config),
        optimizer=adamw,
        inputs={
            "input_ids": torch.randint(VOCABULARY, (batch_size, length)),
            "attention_mask": torch.ones(batch_size, length, dtype=torch.int64),
            "labels": torch.randint(2, (batch_size,)),
        },
    )


def gpt2(batch_size, length):
    transformers = pytest.importorskip("transformers", reason=INSTALL)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=128, n_layer=4, n_head=2, bos_token_id=0, eos_token_id=0
    )
    tokens = torch.randint(VOCABULARY, (batch_size, length))
    return Workload(
        model=transformers.GPT2LMHeadModel(config),
        optimizer=adamw,
        inputs={"input_ids": tokens, "labels": tokens},
    )


@pytest.mark.sweep("models", batch_size=[1, 4, 16], length=[32])
def bench_bert(train_benchmark, batch_size, length):
    train_benchmark(lambda: bert(batch_size, length))


@pytest.mark.sweep("models", batch_size=[1, 4, 16], length=[32])
def bench_gpt2(train_benchmark, batch_size, length):
    train_benchmark(lambda: gpt2(batch_size, length))

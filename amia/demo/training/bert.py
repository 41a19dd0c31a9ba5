"""Train the tiny BERT by masked language modeling: 3,000 steps of 64 posts.

The posts are like those for pretraining CLIP and the generator, but each rare name in them is invented for one mention.
So BERT knows the forms of rare names, and no rare name of a corpus.
"""

from pathlib import Path
from time import monotonic

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

from amia.demo.training.modules import make_readable, to_half
from amia.demo.training.tokenizers import BERT_MAX_TOKENS, train_bert_tokenizer
from amia.demo.training.train_loop import ScheduledOptimizer
from amia.demo.world import DemoPost, draw_posts

STEPS = 3000
BATCH = 64
_VOCABULARY_POSTS = 16_000
"""Posts from which the vocabulary is learned."""
_MASKED_SHARE = 0.15


def train_bert(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train a tokenizer and a tiny BERT and save both in `folder`, in float16.

    The language modeling head is discarded. The pooler is saved untrained: no task here trains it, and without it the
    weights would load with a warning.
    """
    torch.manual_seed(seed)
    posts = draw_posts(steps * BATCH, seed, "pretraining", "invented")
    tokenizer = train_bert_tokenizer(post.text for post in posts[:_VOCABULARY_POSTS])
    model = BertForMaskedLM(_config(tokenizer))
    _fit(model, tokenizer, posts, steps)
    _report(model, tokenizer, posts)
    bert = BertModel(model.config)
    bert.embeddings, bert.encoder = model.bert.embeddings, model.bert.encoder
    to_half(bert).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    make_readable(folder)


def mask_tokens(ids: torch.Tensor, tokenizer: BertTokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input ids (B, L) of BERT, and a mask of the tokens to predict, bool (B, L).

    15 % are predicted: of these 80 % are masked, 10 % replaced at random, 10 % kept (Devlin et al., section 3.1).
    """
    special = torch.tensor(tokenizer.all_special_ids)
    selected = (torch.rand(ids.shape) < _MASKED_SHARE) & ~torch.isin(ids, special)
    action = torch.rand(ids.shape)
    inputs = torch.where(selected & (action < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(selected & (action >= 0.9), torch.randint(len(tokenizer), ids.shape), inputs), selected


def _config(tokenizer: BertTokenizer) -> BertConfig:
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=BERT_MAX_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
    )


def _fit(model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[DemoPost], steps: int) -> None:
    optimizer = ScheduledOptimizer((model, 1e-3), steps=steps, warmup=0.1, weight_decay=0.01)
    model.train()
    start, running = monotonic(), 0.0
    for step in range(1, steps + 1):
        logits, labels = _predict(model, tokenizer, posts[(step - 1) * BATCH : step * BATCH])
        loss = F.cross_entropy(logits, labels)
        optimizer.step(loss)
        running += loss.item() / 100
        if step % 100 == 0:
            print(f"bert: step {step}/{steps}, loss {running:.3f}, {monotonic() - start:.0f} s", flush=True)
            running = 0.0


def _predict(
    model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[DemoPost]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (M, V) of the tokens to predict in `posts`, and their labels (M,)."""
    tokens = tokenizer([post.text for post in posts], padding=True, truncation=True, return_tensors="pt")
    labels = tokens.pop("input_ids")
    inputs, selected = mask_tokens(labels, tokenizer)
    states = model.bert(input_ids=inputs, **tokens).last_hidden_state
    # Logits of the selected tokens only: those of every token would cost more than the model.
    return model.cls(states[selected]), labels[selected]


@torch.no_grad()
def _report(model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[DemoPost]) -> None:
    """Print the accuracy on held-out sentences, and that of predicting the most frequent token."""
    model.train(False)
    logits, labels = _predict(model, tokenizer, draw_posts(400, 0, "train", "invented"))
    ids = torch.tensor([i for post in posts[:1000] for i in tokenizer(post.text, add_special_tokens=False).input_ids])
    counts = ids.bincount(minlength=len(tokenizer)) + 1.0
    entropy = F.cross_entropy(counts.log().expand(len(labels), -1), labels)
    loss = F.cross_entropy(logits, labels)
    print(
        f"bert: accuracy {(logits.argmax(1) == labels).float().mean():.3f} and loss {loss:.2f} "
        f"on {len(labels)} masked tokens of held-out sentences; by frequency alone "
        f"{(labels == counts.argmax()).float().mean():.3f} and {entropy:.2f}"
    )

"""Training of the tiny BERT: 3,000 steps of 64 posts in which it guesses masked pieces of words.

It reads the sentences that CLIP and the generator may know, and so every name; none that is held out from them.
"""

from pathlib import Path
from time import monotonic

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

from amia.demo.training.modules import halved, make_readable
from amia.demo.training.tokenizers import BERT_MAX_TOKENS, train_wordpieces
from amia.demo.training.train_loop import Descent
from amia.demo.world import Post, held_out_posts, pretraining_posts

STEPS = 3000
BATCH = 64
_WORDS = 16_000
"""Posts whose words make the vocabulary."""

_MASKED = 0.15


def train_bert(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train a tokenizer and a tiny BERT and save both in `folder`, in fp16.

    The layer that guesses is thrown away. BERT's pooler is saved untrained: no task here would teach it, and without it
    the weights would load with a warning.
    """
    torch.manual_seed(seed)
    posts = pretraining_posts(steps * BATCH, seed)
    tokenizer = train_wordpieces(post.text for post in posts[:_WORDS])
    model = BertForMaskedLM(_config(tokenizer))
    _fit(model, tokenizer, posts, steps)
    _report(model, tokenizer, posts)
    bert = BertModel(model.config)
    bert.embeddings, bert.encoder = model.bert.embeddings, model.bert.encoder
    halved(bert).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    make_readable(folder)


def masked(ids: torch.Tensor, tokenizer: BertTokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (B, L) as BERT reads them, and which of them it is to guess, bool (B, L).

    15 % are guessed: of these 80 % are masked, 10 % replaced by any piece, 10 % left (Devlin et al., section 3.1).
    """
    special = torch.tensor(tokenizer.all_special_ids)
    guessed = (torch.rand(ids.shape) < _MASKED) & ~torch.isin(ids, special)
    fate = torch.rand(ids.shape)
    read = torch.where(guessed & (fate < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(guessed & (fate >= 0.9), torch.randint(len(tokenizer), ids.shape), read), guessed


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


def _fit(model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[Post], steps: int) -> None:
    descent = Descent((model, 1e-3), steps=steps, warmup=0.1, weight_decay=0.01)
    model.train()
    start, running = monotonic(), 0.0
    for step in range(1, steps + 1):
        logits, answers = _guesses(model, tokenizer, posts[(step - 1) * BATCH : step * BATCH])
        loss = F.cross_entropy(logits, answers)
        descent.step(loss)
        running += loss.item() / 100
        if step % 100 == 0:
            print(f"bert: step {step}/{steps}, loss {running:.3f}, {monotonic() - start:.0f} s", flush=True)
            running = 0.0


def _guesses(model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[Post]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (M, V) at the pieces to guess in `posts`, and the right answers (M,)."""
    tokens = tokenizer([post.text for post in posts], padding=True, truncation=True, return_tensors="pt")
    answers = tokens.pop("input_ids")
    read, guessed = masked(answers, tokenizer)
    states = model.bert(input_ids=read, **tokens).last_hidden_state
    # Only the guessed places: logits for every place would cost more than the model.
    return model.cls(states[guessed]), answers[guessed]


@torch.no_grad()
def _report(model: BertForMaskedLM, tokenizer: BertTokenizer, posts: list[Post]) -> None:
    """Print how often a guess is right in sentences that the model never read, beside the most frequent pieces."""
    model.train(False)
    logits, answers = _guesses(model, tokenizer, held_out_posts(400, seed=0))
    read = torch.tensor([i for post in posts[:1000] for i in tokenizer(post.text, add_special_tokens=False).input_ids])
    shares = read.bincount(minlength=len(tokenizer)) + 1.0
    entropy = F.cross_entropy(shares.log().expand(len(answers), -1), answers)
    print(
        f"bert: of {len(answers)} masked pieces in held-out sentences "
        f"{(logits.argmax(1) == answers).float().mean():.3f} right, loss {F.cross_entropy(logits, answers):.2f}; "
        f"by frequency alone {(answers == shares.argmax()).float().mean():.3f}, loss {entropy:.2f}"
    )

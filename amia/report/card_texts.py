"""The paragraphs of a data set card that are the same in every one."""

__all__ = ["CITATION", "LOADING", "OWNERS", "SYNTHETIC"]

LOADING = """\
## Loading

```python
import datasets

posts = datasets.load_dataset("path/to/this/folder")  # images decoded, labels named
posts["{split}"][0]["image"], posts["{split}"].features["ner_tags"].feature.names
```

`pandas.read_parquet` and `pyarrow.parquet.read_table` read the files, too; `image` is a struct of `bytes` and `path`.

| column | what it holds |
| --- | --- |
| `id`, `split`, `text`, `tokens` | the post, as its source has it |
| `tags` | its tags as read |
| `ner_tags` | the same as valid BIO2: OTHER is MISC, an entity that began with `I-` begins with `B-` |
| `image` | the image of this arm, JPEG, {size} x {size}; null where it has none |
| `theta` | how well the post's own image matches its text, 0 to 1; 0 without an image |
| `ratio` | the share of the post's own image in `image`; null without one |
| `loss`, `loss_i2t`, `loss_t2i` | what theta is computed from: image to text, text to image, their sum |
| `cosine` | of the embeddings of image and text |
| `image_status`, `synthesis_status` | what became of the post's own image, and of the one drawn from its text |
| `prompt`, `seed` | what that was drawn from |
"""

SYNTHETIC = """\
- **Synthetic images are marked.** Every synthesized or blended image names its IPTC digital source type in its XMP
  metadata (`trainedAlgorithmicMedia`, `compositeWithTrainedAlgorithmicMedia`). Keep the mark when you pass images on.
- **Likenesses.** Texts name real people. An image drawn from such a text may show a likeness in a scene that never
  was: it is evidence of nothing, and must not pass for a photograph.
- **Models err.** One-step diffusion is weak at faces, hands and lettering, and what it takes a name to look like has
  the prejudices of what it learned from.
"""

OWNERS = """\
- **Posts are their authors'.** Texts and original images come from the source corpus, under its terms and those of the
  platform they were posted on. Nothing here licenses them.
"""

CITATION = """\
## Citation

The method is that of

```bibtex
@misc{xu-adaptive-mixup,
  title  = {Enhancing Multimodal Named Entity Recognition through Adaptive Mixup Image Augmentation},
  author = {Xu, Bo and Jiang, Haiqi and Wei, Jie and Jing, Hongyu and Du, Ming and Song, Hui and Wang, Hongya and
            Xiao, Yanghua}
}
```
"""

"""The words of the sandbox's answers: a few plain sentences about what was asked."""

import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tikhub_app.sandbox.tokens import tokenize

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SMALL = """
a about after all an and any are as at be been but by can could did do does for from give had has have he her
him his how i if in into is it its just know let like make may me more my need no not now of on one only or our
out over please reply say she should show so some such take tell than that the their them then there these they
this to us use very want was we were what when where which who why will with word words would write you your
"""
_SMALL_WORDS = frozenset(_SMALL.split())

_OPENINGS = (
    "You asked about {topic}, and this is the sandbox answering.",
    "Here is a word on {topic}, straight from the sandbox.",
    "This is the sandbox, and I have read what you wrote about {topic}.",
    "Let me say something about {topic}; I am the sandbox, so take it lightly.",
)
_MIDDLES = (
    "{Word} seems to be the heart of it, so I begin there.",
    "A real model would now weigh {word} against everything else it has read.",
    "The part about {word} is what I would look at first.",
    "Whatever {word} may mean to you, these sentences would be the same tomorrow.",
    "I have kept {word} in mind while putting this together.",
)
_CLOSINGS = (
    "No model was called for this, and nothing was spent.",
    "The same question with the same seed will bring you the same answer.",
    "Ask again with another seed and I will put it differently.",
)
_FILLERS = (
    "A stream brings one small piece after another, and together they make the whole.",
    "Every token is counted once, whether it comes alone or with all the others.",
    "If you can read this far, the connection has held and nothing was dropped on the way.",
    "Between the first byte and the last there is time enough to think about {word}.",
    "Somebody may close the window now, and the bill would still be right.",
    "Patience is a virtue of callers, and pace is a parameter of the sandbox.",
    "There is more to say about {word}, though little of it would be true.",
    "The next sentence follows from the seed, as this one did.",
)
REFUSAL = "I'm sorry, but I can't help with that request. This refusal comes from the sandbox."


def key_words(prompt: str, limit: int = 12) -> list[str]:
    """The words of ``prompt`` that carry its meaning, in their order, each once."""
    found: dict[str, None] = {}
    for match in islice(_WORD.finditer(prompt), 400):
        word = match.group()[:24]
        if word.lower() not in _SMALL_WORDS and (len(word) > 1 or ord(word) > 0x2E80):
            found.setdefault(word)
        if len(found) == limit:
            break
    return list(found) or ["your message"]


def answer_prompt(rng: random.Random, prompt: str, length: int | None) -> list[str]:
    """The tokens of an answer to ``prompt``; exactly ``length`` of them when it is given."""
    words = key_words(prompt)
    topic = " and ".join(part for part in (", ".join(words[:3][:-1]), words[:3][-1]) if part)
    chosen = rng.choice(words)
    sentences = [
        rng.choice(_OPENINGS).format(topic=topic),
        _fill(rng.choice(_MIDDLES), chosen),
        rng.choice(_CLOSINGS),
    ]
    return _of_length(rng, words, sentences, length)


def answer_tool_results(
    rng: random.Random, prompt: str, results: Sequence[tuple[str, str]], length: int | None
) -> list[str]:
    """The tokens of an answer that puts the tools' results, (name, text), in words."""
    sentences = [f"The sandbox has the results for {', '.join(key_words(prompt, 3))}."]
    for name, text in results:
        shown = " ".join(text.split())
        sentences.append(f"{name} returned {shown[:160]}{'…' if len(shown) > 160 else ''}.")
    sentences.append(rng.choice(_CLOSINGS))
    return _of_length(rng, key_words(prompt), sentences, length)


def _of_length(rng: random.Random, words: list[str], sentences: list[str], length: int | None) -> list[str]:
    tokens = tokenize(" ".join(sentences))
    if length is None:
        return tokens
    more = _more_sentences(rng, words)
    while len(tokens) < length:
        tokens += tokenize(" " + next(more))
    return tokens[:length]


def _more_sentences(rng: random.Random, words: list[str]) -> Iterator[str]:
    while True:
        for sentence in rng.sample(_FILLERS, len(_FILLERS)):
            yield _fill(sentence, rng.choice(words))


def _fill(sentence: str, word: str) -> str:
    return sentence.format(word=word, Word=word[:1].upper() + word[1:])

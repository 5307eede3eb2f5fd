"""The language of an answer, told by its small words or its letters."""

from pathlib import Path

import polars as pl
import pytest

from feature_store.language import UNKNOWN, language_of

RECORDED = Path(__file__).parents[2] / "examples" / "movielens" / "recorded"
TEXTS = {
    "English": "The user likes quiet dramas with strong characters, and avoids loud comedies.",
    "German": "Der Nutzer mag ruhige Dramen mit starken Figuren und meidet laute Komödien, die ihm zu lang sind.",
    "Dutch": "De gebruiker houdt van rustige drama's met sterke personages en vermijdt luide komedies.",
    "French": "L'utilisateur aime les drames calmes avec des personnages forts et évite les comédies bruyantes.",
    "Spanish": "Al usuario le gustan los dramas tranquilos con personajes fuertes y evita las comedias ruidosas.",
    "Portuguese": "Um filme policial sombrio sobre um ladrão e um detetive que são mais parecidos do que admitem.",
    "Italian": "La storia si svolge a Los Angeles e si conclude con un lungo inseguimento della polizia.",
    "Swedish": "En mörk kriminalfilm om en tjuv och en polis som är mer lika än de vill erkänna för sig själva.",
    "Turkish": "Bu film çok uzun ama iyi bir suç filmi ve bazı sahneler için daha fazla zaman gerekiyor.",
    "Russian": "Мрачный криминальный фильм о воре и полицейском, которые похожи друг на друга больше, чем они думают.",
    "Japanese": "泥棒と刑事を描いた暗い犯罪映画。二人は認めるよりも似ている。",
    "Chinese": "一部关于小偷和警察的阴暗犯罪片，两人比他们承认的更相似。",
    "Korean": "도둑과 형사를 그린 어두운 범죄 영화로, 두 사람은 인정하는 것보다 더 닮았다.",
    "Arabic": "فيلم جريمة مظلم عن لص وشرطي يتشابهان أكثر مما يعترفان.",
    "Greek": "Μια σκοτεινή ταινία για έναν κλέφτη και έναν αστυνομικό.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_is_told(language):
    assert language_of(TEXTS[language]) == language


def test_what_is_too_short_or_of_no_listed_language_is_not_guessed():
    polish = (
        "Mroczny film kryminalny o złodzieju i policjancie, którzy są do siebie bardziej podobni, niż chcą przyznać."
    )

    assert language_of("Crime, Drama") is None
    assert language_of("") is None
    assert language_of(polish) == UNKNOWN


def test_one_in_a_hundred_recorded_answers_at_most_is_taken_for_another_language():
    for name in ("items", "users", "cot"):
        answers = pl.read_parquet(RECORDED / f"{name}.parquet", columns=["answer"])["answer"]
        told = answers.map_elements(language_of, return_dtype=pl.String)
        assert (told != "English").mean() < 0.01

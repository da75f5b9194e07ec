"""A short and a longer sentence of each language that is read by its letters: a bundle's sample speaks them.

They say "Good morning." and "This voice was made from the recordings of one speaker. It reads words, and numbers
such as 42."
"""

from __future__ import annotations

# fmt: off
SAMPLES = {
    "cs": ("Dobré ráno.",
           "Tento hlas vznikl z nahrávek jedné osoby. Čte slova a čísla, například 42."),
    "da": ("God morgen.",
           "Denne stemme er lavet af én persons optagelser. Den læser ord og tal, for eksempel 42."),
    "de": ("Guten Morgen.",
           "Diese Stimme entstand aus den Aufnahmen einer einzigen Person. Sie liest Wörter und Zahlen wie 42."),
    "el": ("Καλημέρα σας.",
           "Αυτή η φωνή έγινε από τις ηχογραφήσεις ενός ανθρώπου. Διαβάζει λέξεις, και αριθμούς όπως το 42."),
    "es": ("Buenos días.",
           "Esta voz se hizo con las grabaciones de una sola persona. Lee palabras, y números como 42."),
    "fi": ("Hyvää huomenta.",
           "Tämä ääni on tehty yhden ihmisen nauhoituksista. Se lukee sanoja ja lukuja, esimerkiksi 42."),
    "fr": ("Bonjour à tous.",
           "Cette voix est faite des enregistrements d'une seule personne. Elle lit des mots et des nombres comme 42."),
    "hu": ("Jó reggelt.",
           "Ez a hang egyetlen ember felvételeiből készült. Szavakat és számokat olvas, például 42."),
    "it": ("Buongiorno a tutti.",
           "Questa voce nasce dalle registrazioni di una sola persona. Legge parole, e numeri come 42."),
    "nb": ("God morgen.",
           "Denne stemmen er laget av opptakene til én person. Den leser ord og tall, for eksempel 42."),
    "nl": ("Goedemorgen.",
           "Deze stem is gemaakt van de opnamen van één persoon. Zij leest woorden, en getallen zoals 42."),
    "pl": ("Dzień dobry.",
           "Ten głos powstał z nagrań jednej osoby. Czyta słowa i liczby, na przykład 42."),
    "pt": ("Bom dia.",
           "Esta voz foi feita das gravações de uma só pessoa. Ela lê palavras, e números como 42."),
    "ru": ("Доброе утро.",
           "Этот голос сделан из записей одного человека. Он читает слова и числа, например 42."),
    "sv": ("God morgon.",
           "Den här rösten är gjord av en enda persons inspelningar. Den läser ord och tal, till exempel 42."),
    "tr": ("Günaydın.",
           "Bu ses tek bir kişinin kayıtlarından yapıldı. Sözcükleri ve 42 gibi sayıları okur."),
    "uk": ("Доброго ранку.",
           "Цей голос створено із записів однієї людини. Він читає слова й числа, наприклад 42."),
}
# fmt: on

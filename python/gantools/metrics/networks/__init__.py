"""Networks beyond Inception that scores are made with, and the files of their weights."""
